"""Benchmarks: what Hanse costs beside the least that the same work can cost. README.md says how to run them."""
