"""Use cases: one file per verb of the product. Faces call these and print what they answer."""
