"""The console script, and the one place where errors end: a line and an exit code."""

from __future__ import annotations

import errno
import io
import os
import sys
import traceback

import typer

from hpcli.cli.app import build_app
from hpcli.errors import HpcliError


def main(arguments: list[str] | None = None) -> int:
    """Run a command line and return its exit code; every error ends here."""
    arguments = sys.argv[1:] if arguments is None else arguments
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # an ASCII terminal gets question marks, not a traceback
    try:
        return int(build_app(arguments)(arguments, prog_name="hpcli", standalone_mode=False) or 0)
    except (Exception, KeyboardInterrupt) as error:
        if "--debug" in arguments:
            traceback.print_exc()
        return _end(error)


_STORAGE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO)


def _end(error: BaseException) -> int:
    """Say what went wrong in one line, and return the exit code. A bug in hpcli gets its traceback."""
    if isinstance(error, BrokenPipeError):  # the reader of our output has gone; so has the output
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 0
    code, line = _explained(error)
    if code == 1:
        traceback.print_exception(error)
    if line:
        from hpcli.cli.terminal import error_line

        error_line(line)
    return code


def _explained(error: BaseException) -> tuple[int, str]:
    if isinstance(error, HpcliError):
        return error.exit_code, str(error)
    if isinstance(error, KeyboardInterrupt | typer.Abort):
        return 130, "stopped"
    usage = getattr(error, "format_message", None)  # typer's usage errors, whose classes it keeps to itself
    if usage is not None:
        return 2, f"{usage()} See hpcli --help." if usage() else ""
    if isinstance(error, OSError) and error.errno in _STORAGE:
        return 7, f"{error.filename or 'output'}: {error.strerror}; free some space or choose another --out"
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError" or "can't allocate" in str(error):
        return 5, "out of memory; lower data.batch_size or data.eval_batch_size"
    return 1, "this is a bug in hpcli, not in what you did; please report it with the traceback above"
