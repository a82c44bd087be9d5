"""What everything stands on: canonical bytes and digests, YAML, diagnostics, instants.

Pure: no input or output, no clock, and no import of any other part of Hanse.
"""
