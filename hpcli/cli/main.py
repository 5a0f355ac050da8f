"""The console script, and the one place where errors end: a line and an exit code.

What takes time to import is imported within `main`, where a Ctrl-C is answered too.
"""

from __future__ import annotations

import errno
import sys
import traceback

from hpcli.cli.streams import unbreakable_streams
from hpcli.errors import HpcliError, UsageError, lacks_memory
from hpcli.signals import first_interrupt
from hpcli.training.launch import ended, last_word

DEBUG = "--debug"
"""Show a traceback for every error."""


def main(arguments: list[str] | None = None) -> int:
    """Run a command line and return its exit code; every error ends here."""
    return ended(_main(sys.argv[1:] if arguments is None else arguments))


def _main(given: list[str]) -> int:
    arguments = [word for word in given if word != DEBUG]  # it may stand after a command, too
    with unbreakable_streams(), first_interrupt() as interrupt:
        try:
            from hpcli.cli.app import build_app

            return int(build_app(arguments)(arguments, prog_name="hpcli", standalone_mode=False) or 0)
        except (Exception, KeyboardInterrupt) as error:
            if DEBUG in given:
                traceback.print_exc()
            return _end(KeyboardInterrupt() if interrupt.received else error)


_STORAGE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO, errno.EFBIG)
_PATHS = (errno.ENOENT, errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, errno.ELOOP, errno.ENOTEMPTY)


def _end(error: BaseException) -> int:
    """Say what went wrong in one line, and return the exit code. A bug in hpcli gets its traceback."""
    code, line = _explained(error)

    def say() -> None:
        """What is known of it."""
        if code == 1:
            traceback.print_exception(error)
        if line:
            _say(line)

    return last_word(error, code, say)


def _say(line: str) -> None:
    try:
        from hpcli.cli.terminal import error_line
    except (Exception, KeyboardInterrupt):  # a library whose import a Ctrl-C cut short cannot be imported again
        sys.stderr.write(f"error: {line}\n")
        return
    error_line(line)


def _explained(error: BaseException) -> tuple[int, str]:
    if isinstance(error, HpcliError):
        return error.exit_code, str(error)
    if isinstance(error, KeyboardInterrupt) or type(error).__name__ == "Abort":  # typer's
        return 130, "stopped"
    usage = getattr(error, "format_message", None)  # typer's usage errors, whose classes it keeps to itself
    if usage is not None:
        return 2, f"{usage()} See hpcli --help." if usage() else ""
    if lacks_memory(error):
        return 5, "out of memory; lower data.batch_size or data.eval_batch_size"
    if isinstance(error, OSError) and error.errno in _STORAGE:
        return 7, f"{error.filename or 'output'}: {error.strerror}; free some space or choose another --out"
    if isinstance(error, OSError) and error.errno in _PATHS:
        return UsageError.exit_code, _wrong_path(error)
    return 1, "this is a bug in hpcli, not in what you did; please report it with the traceback above"


def _wrong_path(error: OSError) -> str:
    if error.filename is None:
        return "the working directory: has been deleted; change into another one"
    name = str(error.filename)
    return f"{name if len(name) <= 100 else name[:97] + '...'}: {error.strerror}; name another path"
