"""The command line: its `commands`, what they share (`session`), and where errors end (`main`)."""

from hpcli.cli.main import main

__all__ = ["main"]
