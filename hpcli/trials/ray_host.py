"""The actor of Ray's that has a worker as its child: it starts it, hears it, and passes on what it is told.

The child is the worker that any machine may start, `hpcli sweep --resume RUN --worker`: it holds the locks, it gets the
signals, and when it crashes the actor says how. Nothing here imports Ray.
"""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from hpcli.errors import UsageError
from hpcli.trials.local_launcher import LocalLauncher

MOST_SAID = 20
"""Lines of a worker that are passed on, the last ones."""


@dataclass(frozen=True)
class Order:
    """What an actor has to start."""

    run: str
    options: tuple[str, ...]
    folder: str  # where it works
    more: Mapping[str, str]  # of its environment


class Host:
    """The actor: a worker as its child, which is told to stop when the actor is gone."""

    def __init__(self, order: Order) -> None:
        """Start the worker."""
        self._launcher = LocalLauncher(Path(order.run), order.options)
        self._problem = ""
        try:
            self._local = self._launcher.start(folder=order.folder, more=order.more, heard=True)
        except OSError as error:
            self._problem = f"{error.filename}: {error.strerror}; every node has to see it"

    def ended(self) -> tuple[int, list[str]]:
        """Wait for its end: its exit code, negative for a signal, and its last lines, each with its machine's name."""
        if self._problem:
            return UsageError.exit_code, [f"{socket.gethostname()}: {self._problem}"]
        assert self._local.process.stderr is not None
        with self._local.process.stderr as lines:
            said = deque((line.decode(errors="replace").rstrip() for line in lines), MOST_SAID)
        return self._local.process.wait(), [f"{socket.gethostname()}: {line}" for line in said if line]

    def terminate(self) -> None:
        """Tell it to stop, once it has saved."""
        if not self._problem:
            self._local.terminate()
