"""Errors that the user can mend, each with the exit code of the command line.

Anything else that escapes is a bug in hpcli: a traceback and exit code 1.
"""

from __future__ import annotations

import difflib
import errno
from collections.abc import Iterable, Sequence
from itertools import accumulate

_NO_MEMORY = ("can't allocate", "out of memory", "ALLOC_FAILED", "Cannot allocate memory")
"""How torch, CUDA and its libraries put it; `MemoryError` and torch's own class are not all there is."""
MOST_LISTED = 160
"""Characters that an error line has room for names in."""


class HpcliError(Exception):
    """A user error: its text is one line saying what is wrong, where, and what to do."""

    exit_code = 1


class UsageError(HpcliError):
    """A wrong command, option or path."""

    exit_code = 2


class ConfigError(UsageError):
    """One or more faults in a configuration, a line each."""

    def __init__(self, *faults: str) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults


class DataError(HpcliError):
    """Data missing, wrong or unreadable."""

    exit_code = 3


class CheckpointError(HpcliError):
    """A checkpoint is corrupt, or does not belong to this run or configuration."""

    exit_code = 4


class MemoryLimitError(HpcliError):
    """The GPU's or the host's memory is used up."""

    exit_code = 5


class StorageError(HpcliError, OSError):
    """A file of a run cannot be written: disk full, quota, read-only file system or missing permission.

    Made from errno, text and file name, as any `OSError`.
    """

    exit_code = 7

    def __str__(self) -> str:
        full = self.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        advice = "free some space" if full else "see what is there"
        return f"{self.filename}: {self.strerror}; {advice}, or choose another --out"


class RunInUseError(HpcliError):
    """Another process holds the run folder."""

    exit_code = 8


class PeerLostError(HpcliError):
    """Another process of the same training is gone."""

    exit_code = 11


DIVERGED = 6
"""Exit code of a run that diverged. Not an exception: a diverged run is a recorded result."""


SOME_FAILED = 9
"""Exit code of a sweep that is done, some of its trials failed: recorded, too."""


CHECK_FAILED = 10
"""Exit code of checks before training of which one is bad: recorded, too."""


class HpcliWarning(UserWarning):
    """A warning of something that works and is probably not meant."""


def did_you_mean(name: str, known: Iterable[str], *, all_by: str = "") -> str:
    """End of an error line: the nearest of the `known` names, or a list of them; `all_by` shows those left out."""
    known = [str(each) for each in known]
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    if near:
        return f"did you mean {near[0]}?"
    found = listed(known)
    rest = f" ({all_by} has all)" if all_by and found != ", ".join(known) else ""
    return f"choose from {found}{rest}"


def listed(names: Sequence[str]) -> str:
    """Names one after the other, of many the first ones."""
    room = len([length for length in accumulate(len(name) + 2 for name in names) if length <= MOST_LISTED])
    more = len(names) - max(room, 1)
    return ", ".join(names) if more <= 1 else f"{', '.join(names[:-more])} … and {more} more"


def lacks_memory(error: BaseException) -> bool:
    """Whether an error says that the memory of a GPU or of the host is used up."""
    says_so = isinstance(error, RuntimeError | OSError) and any(each in str(error) for each in _NO_MEMORY)
    return isinstance(error, MemoryError) or says_so
