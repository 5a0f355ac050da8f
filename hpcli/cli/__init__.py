"""The command line: the `app`, a file a command, what they share (`options`, `session`), where errors end (`main`)."""

from hpcli.cli.main import main

__all__ = ["main"]
