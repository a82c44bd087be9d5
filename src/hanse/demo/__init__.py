"""The demo: real counterparts and a sample organization, all on one machine."""
