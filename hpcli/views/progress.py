"""How far an experiment is, as a line that fits: where there is less room, the numbers are the last to go."""

from __future__ import annotations

import math
import shutil
import sys
import time
from collections.abc import Callable
from typing import TextIO

from hpcli.recording.progress import OnProgress, Progress, silent
from hpcli.recording.rows import Row
from hpcli.results.facts import plain
from hpcli.results.train import Epoch

BLOCKS = "▁▂▃▄▅▆▇█"
LENGTH = 24
"""Characters of a curve, and of a bar, at most."""
LEAST = 8
"""Characters below which they are left out."""
OFTEN = 0.1
"""Seconds between two pictures of a bar in a notebook."""


class Pace:
    """What is known of a run while it goes on."""

    def __init__(self, what: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.what, self.clock, self.started = what, clock, clock()
        self.done, self.total, self.first = 0, 0, 0
        self.losses: list[float] = []
        self.note = ""

    def tell(self, done: int, total: int, loss: float | None = None) -> None:
        """Take a report. The first says what was done before, in a run that is resumed."""
        if not self.total:
            self.first, self.started = max(done - 1, 0), self.started if done <= 1 else self.clock()
        self.done, self.total = done, total
        if loss is not None:
            self.losses.append(loss)
            self.note = f"loss {loss:.3f}" if abs(loss) < 1e4 else f"loss {loss:.3g}"

    def line(self, width: int) -> str:
        """At most `width` characters; from the last to go: steps, loss, time left, name, bar, time so far, curve."""
        seconds, fresh = self.clock() - self.started, self.done - self.first
        left = (self.total - self.done) * seconds / fresh if fresh and self.total else math.nan
        parts = {"steps": f"{self.done}/{self.total}" if self.total else "", "note": self.note}
        parts |= {"left": f"eta {_clock(left)}", "what": self.what}
        room = width - sum(len(part) + 1 for part in parts.values() if part)
        while room < -1 and len(parts) > 1:
            room += 1 + len(parts.popitem()[1])
        share = self.done / self.total if self.total else 0.0
        for name in ("bar", "so far", "curve"):
            if room >= LEAST:
                most = min(LENGTH, room)
                bar_or_time = _bar(share, most) if name == "bar" else _clock(seconds)
                parts[name] = sparkline(self.losses, most) if name == "curve" else bar_or_time
                room -= len(parts[name]) + 1
        order = ("what", "bar", "steps", "so far", "left", "note", "curve")
        return " ".join(parts[name] for name in order if parts.get(name))[:width]


def progress_bar(what: str = "", *, file: TextIO | None = None) -> OnProgress:
    """A bar for a notebook or a script: `train(config, on_progress=hpcli.progress_bar())`. Nothing else here prints.

    One line, written over, with the epochs above it. A bar is for one run. In IPython one is there unasked.

    Args:
        what: a word in front of it.
        file: where to write; None: stderr.
    """
    pace, last = Pace(what), -math.inf

    def report(told: Progress) -> None:
        """Write a line for what is over, and the bar anew."""
        nonlocal last
        out, now = file or sys.stderr, time.monotonic()
        width = max(20, shutil.get_terminal_size().columns - 1)
        for text in (None if told.epoch is None else epoch_text(told.epoch), told.line):
            if text is not None:
                out.write("\r" + plain(text).ljust(width) + "\n")
        if told.loss is not None:
            pace.tell(told.done, told.total, told.loss)
            is_over = 0 < told.total <= told.done
            if is_over or now - last >= OFTEN:
                last = now
                out.write("\r" + pace.line(width).ljust(width) + "\n" * is_over)
        out.flush()

    return report


def shown(on_progress: OnProgress | None, what: str) -> OnProgress:
    """Whom an experiment tells how far it is: as it was asked to; not asked: in IPython a bar, else nobody."""
    if on_progress is not None:
        return on_progress
    ipython = sys.modules.get("IPython")
    return silent if ipython is None or ipython.get_ipython() is None else progress_bar(what.replace("_", "-"))


def sparkline(values: list[float], length: int = LENGTH) -> str:
    """A curve of at most `length` characters through all values, each the mean of its share of them."""
    share = max(1, -(-len(values) // length))
    means = [sum(part) / len(part) for part in (values[n : n + share] for n in range(0, len(values), share))]
    finite = [mean for mean in means if abs(mean) < float("inf")]
    low, high = min(finite, default=0.0), max(finite, default=0.0)
    scale = (len(BLOCKS) - 1) / (high - low) if high > low else 0.0
    return "".join(BLOCKS[int((mean - low) * scale)] if low <= mean <= high else "×" for mean in means)


def epoch_text(row: Row) -> str:
    """An epoch's row as a line."""
    if not isinstance(row, Epoch):
        return str(row)
    return (
        f"epoch {row.epoch}  train loss {row.train_loss:.4f}  valid loss {row.valid_loss:.4f}  "
        f"accuracy {row.valid_accuracy:.1%}  {row.seconds:.1f} s"
    )


def _bar(share: float, length: int) -> str:
    full = min(length, round(share * length))
    return "━" * full + "╌" * (length - full)


def _clock(seconds: float) -> str:
    if not math.isfinite(seconds):
        return "-:--:--"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}"
