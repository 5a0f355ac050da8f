"""Workers as processes of this machine, which are gone with the one that started them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from hpcli.trials.launcher import End, Process


class LocalLauncher:
    """Starts workers here. They are told to stop when this process ends, in whatever way."""

    def __init__(self, run: Path, options: Sequence[str] = ()) -> None:
        """Start nobody yet.

        Args:
            run: the folder of the sweep.
            options: of a worker's command line.
        """
        self.run, self.options = run, options
        self._ends, self._held = os.pipe()  # nobody writes: its end is the end of this process

    def start(self, *, folder: str | None = None, more: Mapping[str, str] | None = None, heard: bool = False) -> Local:
        """Start one.

        Args:
            folder: where it works; None: here.
            more: of its environment.
            heard: what it says can be read from its `stderr`, and is not said here.

        Raises:
            OSError: no such folder, or no more processes.
        """
        code = (
            f"import sys; sys.path[:] = {sys.path!r}; from hpcli.trials.local_launcher import end_with; "
            f"end_with({self._ends}); from hpcli.cli import main; sys.exit(main())"
        )
        process = subprocess.Popen(
            [sys.executable, "-c", code, "sweep", "--resume", str(self.run), "--worker", "--quiet", *self.options],
            cwd=folder,
            env={**os.environ, **(more or {})},
            pass_fds=[self._ends],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE if heard else None,
        )
        return Local(process)

    def close(self) -> None:
        """Let go of what told them that this process is there."""
        os.close(self._ends)
        os.close(self._held)


class Local(Process):
    """A process of this machine."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        """Of a process that has been started."""
        self.process = process

    def end(self) -> End | None:
        """How it has ended; None: not yet."""
        code = self.process.poll()
        return None if code is None else End.by(code)

    def terminate(self) -> None:
        """Tell it to stop, once it has saved."""
        self.process.terminate()

    def wait(self, seconds: float) -> bool:
        """Wait until it has ended, so long at most. Whether it has."""
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def kill(self) -> None:
        """End it at once, if it has not ended, and wait until it has."""
        self.process.kill()
        self.process.wait()


def end_with(descriptor: int) -> None:
    """Be told to stop when the process that has the other end of a pipe is gone."""

    def wait() -> None:
        """End with the process that started this one: its end of the pipe closes."""
        os.read(descriptor, 1)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, daemon=True).start()
