"""One folder per vendor: what it means there to have a tenant and who may use it. They do not know each other."""
