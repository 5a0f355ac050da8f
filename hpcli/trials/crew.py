"""The workers that a sweep starts for itself: processes of this machine, as any that joins, and gone with it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from hpcli.errors import HpcliError

MOST_LOST = 5
"""Workers that may be lost one after the other, no trial having ended between."""
LEAVE_SECONDS = 20.0
"""Those that are told to stop have so long to finish a step, and to save."""
BY_SIGNAL = 128
"""Exit codes from here on say that somebody stopped a process."""


class Crew:
    """Starts workers, and others in place of those that are lost."""

    def __init__(self, run: Path, count: int, options: Sequence[str] = ()) -> None:
        """Start nobody yet.

        Args:
            run: the folder of the sweep.
            count: how many.
            options: of their command line.
        """
        self.run, self.count, self.options = run, count, options
        self.lost, self.how = 0, ""  # since a trial has ended, and how the last one
        self._processes: list[subprocess.Popen[bytes]] = []
        self._ends, self._held = os.pipe()  # nobody writes: its end is the end of this process

    def keep(self, needed: int) -> None:
        """Have as many at work as may be.

        Raises:
            HpcliError: one ended by an error of its own, which it has said; with its exit code.
        """
        for each in [each for each in self._processes if each.poll() is not None]:
            self._processes.remove(each)
            self._lose(each.returncode)
        while len(self._processes) < min(self.count, needed) and self.lost < MOST_LOST:
            self._processes.append(self._started())

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
            try:
                each.wait(LEAVE_SECONDS)
            except subprocess.TimeoutExpired:
                each.kill()
                each.wait()
        self._processes.clear()
        os.close(self._ends)
        os.close(self._held)

    def _lose(self, code: int) -> None:
        self.lost, self.how = self.lost + 1, f"signal {-code}" if code < 0 else f"exit code {code}"
        if 0 < code < BY_SIGNAL:
            error = HpcliError(f"a worker of {self.run} ended with {self.how}: what it said is above")
            error.exit_code = code
            raise error

    def _started(self) -> subprocess.Popen[bytes]:
        code = (
            f"import sys; sys.path[:] = {sys.path!r}; from hpcli.trials.crew import end_with; end_with({self._ends}); "
            "from hpcli.cli import main; sys.exit(main())"
        )
        arguments = ["sweep", "--resume", str(self.run), "--worker", "--quiet", *self.options]
        return subprocess.Popen(
            [sys.executable, "-c", code, *arguments],
            pass_fds=[self._ends],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )


def end_with(descriptor: int) -> None:
    """Be told to stop when the process that has the other end of a pipe is gone."""

    def wait() -> None:
        os.read(descriptor, 1)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, daemon=True).start()
