"""Which of several processes of one training this is, as torchrun starts them, and how each ends when one fails.

Without torch: the command line asks before it imports anything heavy.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, ClassVar

from hpcli.errors import PeerLostError, UsageError

if TYPE_CHECKING:
    from torch.distributed import Store  # type: ignore[attr-defined]

LAST_WORD = timedelta(seconds=5)
"""So long another process than the first keeps an error of its own: the first may be about to say the same."""
LOST = timedelta(seconds=0.2)
"""So long it takes to read what a process has left that is gone."""


@dataclass(frozen=True)
class Launch:
    """Which this is of the processes that were started together."""

    rank: int = 0
    size: int = 1
    local_rank: int = 0  # among those of this machine
    local_size: int = 1


def launched() -> Launch:
    """What torchrun, or another launcher, says in the environment; one process where it does not say all of it."""
    names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
    numbers = [os.environ.get(name, "") for name in names]
    if not all(each.isdigit() for each in numbers) or not {"MASTER_ADDR", "MASTER_PORT"} <= os.environ.keys():
        return Launch()
    return Launch(*map(int, numbers))


def check_command(command: str) -> None:
    """Check that a command is one that several processes carry out together.

    Raises:
        UsageError: it is not `train`.
    """
    size = launched().size
    if size > 1 and command != "train":
        raise UsageError(
            f"{command}: {size} processes were started together, which train alone can use; start hpcli {command} by "
            "itself (a sweep on several GPUs: --workers 0, and on each GPU hpcli sweep --resume RUN --worker)"
        )


def torchrun() -> str:
    """The beginning of a command line that starts as many processes; of one: nothing."""
    here = launched()
    count = f"--nproc-per-node {here.local_size}" if here.size == here.local_size else "…"
    return "" if here.size == 1 else f"torchrun {count} -m "


class Together:
    """The end of processes of which one has failed: one of them says why, all have its exit code."""

    here: ClassVar[Together | None] = None
    """That of this process, from when it has joined the others until all leave."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def said(self, wait: timedelta) -> int | None:
        """The exit code of the process that has said why it ended, waited for so long; None: there is none."""
        try:
            self.store.wait(["end"], wait)
            return int(self.store.get("end"))
        except RuntimeError:  # not in time, or whoever keeps the store is gone
            return None

    def say(self, code: int) -> None:
        """Note that this process has said why it ends."""
        with suppress(RuntimeError):
            self.store.set("end", str(code))


def last_word(error: BaseException, code: int, say: Callable[[], object]) -> int:
    """End by an error: in one of the processes by saying it.

    The first one says its own errors, another one where the first has none; one that only lost another says so where
    that has left no word. Of what comes before they have joined, a command line that is the same for all, the first one
    speaks. The others wait: torchrun stops all that are left when one has ended.

    Args:
        error: of this process.
        code: its exit code.
        say: says it.

    Returns:
        The exit code.
    """
    group, is_first, is_lost = Together.here, launched().rank == 0, isinstance(error, PeerLostError)
    if group is None and is_first:
        say()
        return code
    stopped = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopped.set())  # it ends anyway, with its own exit code
    if group is None:
        stopped.wait(LAST_WORD.total_seconds())
        return code
    others = None if is_first and not is_lost else group.said(LOST if is_lost else LAST_WORD)
    if others is None and (is_first or not is_lost):
        say()
        group.say(code)
    return code if others is None else others


def ended(code: int) -> int:
    """The exit code of a process that ends; one that has failed among others ends here.

    Their group can neither be destroyed then, as that would wait for the others, nor be left to Python's own end, in
    which its threads may abort the process (pytorch/pytorch#190489).
    """
    if Together.here is not None:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    return code
