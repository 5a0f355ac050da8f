"""The workers that a sweep starts for itself: processes like any that joins, wherever a launcher has them live."""

from __future__ import annotations

from pathlib import Path

from hpcli.errors import HpcliError
from hpcli.trials.launcher import End, Launcher, Process

MOST_LOST = 5
"""Workers that may be lost one after the other, no trial having ended between."""
LEAVE_SECONDS = 20.0
"""Those that are told to stop have so long to finish a step, and to save."""


class Crew:
    """Starts workers, and others in place of those that are lost."""

    def __init__(self, run: Path, count: int, launcher: Launcher) -> None:
        """Start nobody yet.

        Args:
            run: the folder of the sweep.
            count: how many.
            launcher: starts them.
        """
        self.run, self.count, self.launcher = run, count, launcher
        self.lost, self.how = 0, ""  # since a trial has ended, and how the last one
        self._processes: list[Process] = []

    def keep(self, needed: int) -> None:
        """Have as many at work as may be.

        Raises:
            HpcliError: one ended by an error of its own, which it has said; with its exit code.
        """
        for each in list(self._processes):
            end = each.end()
            if end is not None:
                self._processes.remove(each)
                self._lose(end)
        while len(self._processes) < min(self.count, needed) and self.lost < MOST_LOST:
            self._processes.append(self.launcher.start())

    @property
    def is_losing(self) -> bool:
        """Whether so many are lost that no more are started."""
        return self.lost >= MOST_LOST

    @property
    def is_alone(self) -> bool:
        """Whether none is at work."""
        return not self._processes

    def close(self) -> None:
        """End them; one that is training saves before."""
        for each in self._processes:
            each.terminate()
        for each in self._processes:
            if not each.wait(LEAVE_SECONDS):
                each.kill()
        self._processes.clear()
        self.launcher.close()

    def _lose(self, end: End) -> None:
        self.lost, self.how = self.lost + 1, end.how
        if end.error:
            error = HpcliError(f"a worker of {self.run} ended with {self.how}: what it said is above")
            error.exit_code = end.error
            raise error
