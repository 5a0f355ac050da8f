"""The terminal: progress, warnings, tables, errors. The only file that prints.

Results go to stdout, everything else to stderr. Without a terminal there are no bars, and an epoch is a line.
"""

from __future__ import annotations

import json
import os
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.padding import Padding
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.text import Text

from hpcli.config.keys import Described
from hpcli.config.varying import written
from hpcli.errors import HpcliWarning
from hpcli.recording.progress import OnProgress, silent
from hpcli.recording.progress import Progress as Report
from hpcli.recording.rows import Row
from hpcli.results.train import Epoch
from hpcli.views.summary import fact_tables, plain, shown_facts

BLOCKS = "▁▂▃▄▅▆▇█"
CURVE_LENGTH = 24
PLAIN_WIDTH = 120
"""Columns, where there is no terminal to fit into."""


def error_line(text: str) -> None:
    """An error, a line for each of its faults, on stderr."""
    err = Console(stderr=True, soft_wrap=True, highlight=False)
    for line in plain(text).split("\n"):
        err.print(Text.assemble(("error: ", "bold red"), line))


def show_warnings() -> None:
    """From now on, show hpcli's warnings as a line each; Python's others stay as they are."""
    before = warnings.showwarning

    def show(message: Warning | str, category: type[Warning], *args: Any, **kwargs: Any) -> None:
        if issubclass(category, HpcliWarning):
            err = Console(stderr=True, soft_wrap=True, highlight=False)
            err.print(Text.assemble(("warning: ", "bold yellow"), plain(message)))
        else:
            before(message, category, *args, **kwargs)

    warnings.simplefilter("always", HpcliWarning)
    warnings.showwarning = show


class Terminal:
    """Shows a command's progress, notes, tables and summary."""

    def __init__(self, *, quiet: bool = False, as_json: bool = False, verbose: bool = False) -> None:
        self.quiet, self.as_json, self.verbose = quiet, as_json, verbose
        fits = sys.stdout.isatty() or "COLUMNS" in os.environ
        self.out = Console(highlight=False, soft_wrap=True, width=None if fits else PLAIN_WIDTH)
        self.err = Console(stderr=True, highlight=False, soft_wrap=True)

    def note(self, text: str) -> None:
        """A line about what is going on."""
        if not self.quiet:
            self.err.print(plain(text), markup=False)

    @contextmanager
    def progress(self, what: str) -> Iterator[OnProgress]:
        """Yields the function that an experiment reports its progress to."""
        if self.quiet:
            yield silent
        elif self.err.is_terminal:
            with _Live(what, self.err) as live:
                yield live
        else:
            yield self._epoch_line

    def _epoch_line(self, report: Report) -> None:
        if report.epoch is not None:
            self.err.print(_epoch_text(report.epoch), markup=False)
        if report.line is not None:
            self.err.print(plain(report.line), markup=False)

    @contextmanager
    def decoding(self) -> Iterator[Callable[[int, int], None]]:
        """Yields the function that the decoding of images reports to: a bar with images/s, then a line."""
        started, decoded = time.monotonic(), 0
        bar = Progress(
            TextColumn("decoding"), BarColumn(bar_width=24), MofNCompleteColumn(), TextColumn("{task.fields[speed]}"),
            TextColumn("eta"), TimeRemainingColumn(),
            console=self.err, transient=True, disable=self.quiet or not self.err.is_terminal,
        )  # fmt: skip
        task = bar.add_task("", total=None, speed="")

        def report(done: int, total: int) -> None:
            nonlocal decoded
            decoded = done
            bar.start()
            bar.update(task, completed=done, total=total, speed=f"{done / (time.monotonic() - started):,.0f} images/s")

        try:
            yield report
        finally:
            bar.stop()
        if decoded:
            seconds = time.monotonic() - started
            self.note(f"decoded {decoded:,} images in {seconds:.1f} s ({decoded / seconds:,.0f} images/s)")

    def table(self, title: str, facts: Mapping[str, object]) -> None:
        """Facts in two columns, or as JSON."""
        if self.as_json:
            sys.stdout.write(json.dumps(facts) + "\n")
            return
        for each in fact_tables(title, facts):
            self.out.print(each)

    def keys(self, found: Sequence[Described]) -> None:
        """Keys of the config, each with its default, and under it what it is for."""
        for each in found:
            self.out.print(Text.assemble((each.key, "bold"), (f"  {written(each.default)}", "cyan")))
            self.out.print(Padding(Text(each.about), (0, 0, 0, 4)), soft_wrap=False)

    def summary(self, summary: Mapping[str, object], files: list[str]) -> None:
        """The end of a run: the answer in words, what is compared, where it lies; with `verbose` every number."""
        if self.as_json:
            sys.stdout.write(json.dumps(summary) + "\n")
        elif not self.quiet:
            if "sentence" in summary:
                self.out.print(Text(plain(summary["sentence"]), style="bold"))
            shown = shown_facts(summary, every="sentence" not in summary or self.verbose)
            if shown:
                self.table(f"{summary['command']}: {summary['status']}", shown)
            self.out.print(plain(f"{summary['run_dir']}/  {'  '.join(files)}"), markup=False)

    def finding(self, command: str, file: Path, summary: Mapping[str, object], notes: Sequence[str]) -> None:
        """What a file of somebody else's says: the sentence, what it comes from, and what was made of the file."""
        if self.as_json:
            full = {"command": command, "file": str(file), **summary, "file_notes": list(notes)}
            sys.stdout.write(json.dumps(full) + "\n")
            return
        self.out.print(Text(plain(summary["sentence"]), style="bold"))
        self.table(f"{command}: {file}", shown_facts(summary))
        for line in notes:
            self.out.print(plain(f"note: {line}"), markup=False)


class _Live:
    """A bar with steps, time left, the loss and its recent curve; epochs as lines above it."""

    def __init__(self, what: str, console: Console) -> None:
        self.losses: list[float] = []
        self.bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("eta"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[loss]}"),
            console=console,
            transient=True,
        )
        self.task = self.bar.add_task(what, total=None, loss="")

    def __enter__(self) -> OnProgress:
        self.bar.start()
        return self.report

    def __exit__(self, *_: object) -> None:
        self.bar.stop()

    def report(self, report: Report) -> None:
        if report.loss is not None:
            self.losses.append(report.loss)
            text = f"loss {report.loss:.3f} {sparkline(self.losses)}"
            self.bar.update(self.task, completed=report.done, total=report.total, loss=text)
        if report.epoch is not None:
            self.bar.console.print(_epoch_text(report.epoch), markup=False)
        if report.line is not None:
            self.bar.console.print(plain(report.line), markup=False)


def sparkline(values: list[float], length: int = CURVE_LENGTH) -> str:
    """A curve of at most `length` characters through all values, each the mean of its share of them."""
    share = max(1, -(-len(values) // length))
    means = [sum(part) / len(part) for part in (values[n : n + share] for n in range(0, len(values), share))]
    finite = [mean for mean in means if abs(mean) < float("inf")]
    low, high = min(finite, default=0.0), max(finite, default=0.0)
    scale = (len(BLOCKS) - 1) / (high - low) if high > low else 0.0
    return "".join(BLOCKS[int((mean - low) * scale)] if low <= mean <= high else "×" for mean in means)


def _epoch_text(row: Row) -> str:
    if not isinstance(row, Epoch):
        return str(row)
    return (
        f"epoch {row.epoch}  train loss {row.train_loss:.4f}  valid loss {row.valid_loss:.4f}  "
        f"accuracy {row.valid_accuracy:.1%}  {row.seconds:.1f} s"
    )
