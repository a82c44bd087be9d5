"""Hanse as a person runs it, its own process each time, on a real Keystone."""
