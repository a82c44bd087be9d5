"""`python -m hanse` is the command `hanse`."""

from hanse.main import run

run()
