"""Where the processes of a crew's workers live, as the crew sees them: it starts, watches and ends them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

BY_SIGNAL = 128
"""Exit codes from here on say that somebody stopped a process."""


@dataclass(frozen=True)
class End:
    """How a worker's process has ended."""

    how: str
    error: int = 0  # its exit code, where it ended by an error of its own, which it has said

    @classmethod
    def by(cls, code: int) -> End:
        """The end of a process by its exit code, negative for a signal."""
        return cls(f"signal {-code}" if code < 0 else f"exit code {code}", code if 0 < code < BY_SIGNAL else 0)


class Process(Protocol):
    """A worker's process, somewhere."""

    def end(self) -> End | None:
        """How it has ended; None: not yet."""

    def terminate(self) -> None:
        """Tell it to stop, once it has saved."""

    def wait(self, seconds: float) -> bool:
        """Wait until it has ended, so long at most. Whether it has."""

    def kill(self) -> None:
        """End it at once, if it has not ended, and wait until it has."""


class Launcher(Protocol):
    """Starts such processes, each of which works on the same run."""

    def start(self) -> Process:
        """Start one."""

    def close(self) -> None:
        """Leave nothing behind, once they all have ended."""
