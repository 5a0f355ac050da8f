"""SIGINT, SIGTERM and SIGUSR1 ask a run to stop after the step it is in; a second SIGINT stops it at once."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)


class Stopped(Exception):  # noqa: N818 - nothing went wrong
    """What was going on has been left, as a signal asked."""


@dataclass
class Interrupt:
    """The handler of SIGINT that raises KeyboardInterrupt, as Python's own, and remembers it."""

    received: bool = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Handle the signal."""
        self.received = True
        signal.default_int_handler(number, frame)


@contextmanager
def first_interrupt() -> Iterator[Interrupt]:
    """While entered, a SIGINT is remembered: a library that is imported makes another error of it, or swallows it."""
    interrupt = Interrupt()
    is_default = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if not is_default or threading.current_thread() is not threading.main_thread():
        yield interrupt
        return
    signal.signal(signal.SIGINT, interrupt)
    try:
        yield interrupt
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


class StopSignals:
    """While entered, notes the first signal instead of dying of it. A trial enters its sweep's once more.

    Raises:
        KeyboardInterrupt: on entering, where a SIGINT came before and was swallowed.
    """

    def __init__(self) -> None:
        self._entered = 0
        self.received: signal.Signals | None = None
        self._before: dict[signal.Signals, Any] = {}

    @property
    def exit_code(self) -> int:
        """128 + the signal's number, as shells report it; 0 if there was none."""
        return 128 + self.received if self.received else 0

    def __enter__(self) -> StopSignals:
        before = signal.getsignal(signal.SIGINT)
        if isinstance(before, Interrupt) and before.received:
            raise KeyboardInterrupt
        self._entered += 1
        if self._entered == 1 and threading.current_thread() is threading.main_thread():
            self._before = {each: signal.signal(each, self._note) for each in SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        self._entered -= 1
        if not self._entered:
            for each, handler in self._before.items():
                signal.signal(each, handler)

    def _note(self, number: int, _: FrameType | None) -> None:
        if self.received == signal.SIGINT and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.received = signal.Signals(number)
