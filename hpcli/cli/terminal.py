"""The terminal: progress, warnings, tables, errors. The only file that prints unasked.

Results go to stdout, everything else to stderr. Without a terminal there are no bars, and an epoch is a line.
"""

from __future__ import annotations

import json
import os
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console, RenderableType
from rich.live import Live
from rich.padding import Padding
from rich.text import Text

from hpcli.config.keys import Described
from hpcli.config.varying import written
from hpcli.errors import HpcliWarning
from hpcli.recording.progress import OnProgress, silent
from hpcli.recording.progress import Progress as Report
from hpcli.recording.status import json_value
from hpcli.results.check import CheckResult
from hpcli.results.facts import diagnosis_lines
from hpcli.results.predict import Answer
from hpcli.signals import Stopped
from hpcli.views.answers import answer_lines
from hpcli.views.cells import one_line
from hpcli.views.checks import check_table
from hpcli.views.progress import Pace, epoch_text
from hpcli.views.summary import fact_tables, plain, shown_facts

PLAIN_WIDTH = 120
"""Columns, where there is no terminal to fit into."""
STOPPING = "stopping after this step; Ctrl-C again stops at once"
"""In the place of the bar, between a first Ctrl-C and the end of a step, a compilation or the decoding."""


def error_line(text: str) -> None:
    """An error, a line for each of its faults, on stderr."""
    err = Console(stderr=True, soft_wrap=True, highlight=False)
    for line in plain(text).split("\n"):
        err.print(Text.assemble(("error: ", "bold red"), line))


def show_warnings() -> None:
    """From now on, show hpcli's warnings as a line each; Python's others stay as they are."""
    before = warnings.showwarning

    def show(message: Warning | str, category: type[Warning], *args: Any, **kwargs: Any) -> None:
        """A warning of hpcli's as a line; others as before."""
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
    def progress(self, what: str, stops: Callable[[], bool] = lambda: False) -> Iterator[OnProgress]:
        """Yields the function that an experiment reports its progress to.

        Args:
            what: a word for it.
            stops: whether it has been asked to stop, which takes as long as what it is at: a step, or a compilation.
        """
        if self.quiet:
            yield silent
        elif self.err.is_terminal:
            with _Live(Pace(what), self.err, stops) as live:
                yield live
        else:
            yield self._epoch_line

    def _epoch_line(self, report: Report) -> None:
        if report.epoch is not None:
            self.err.print(epoch_text(report.epoch), markup=False)
        if report.line is not None:
            self.err.print(plain(report.line), markup=False)

    @contextmanager
    def decoding(self, stops: Callable[[], bool] = lambda: False) -> Iterator[Callable[[int, int], None]]:
        """Yields the function that the decoding of images reports to: a bar with images/s, then a line.

        Raises:
            Stopped: by that function, once it has been asked to stop: the decoding of many images takes hours.
        """
        started, pace = time.monotonic(), Pace("decoding")
        bar = _Live(pace, self.err, stops) if self.err.is_terminal and not self.quiet else None

        def report(done: int, total: int) -> None:
            """Show how far it is."""
            if stops():
                raise Stopped
            pace.tell(done, total)
            pace.note = f"{done / (time.monotonic() - started):,.0f} images/s"
            if bar is not None:
                bar.live.start()

        try:
            yield report
        finally:
            if bar is not None:
                bar.live.stop()
        decoded = pace.done
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

    def comparison(self, summary: Mapping[str, object], tables: Sequence[RenderableType], notes: Sequence[str]) -> None:
        """Runs side by side, in tables that are folded to fit, and what is to be said of them; or as JSON."""
        if self.as_json:
            sys.stdout.write(json.dumps(json_value({**summary, "notes": list(notes)})) + "\n")
            return
        if summary.get("sentence"):
            self.out.print(Text(one_line(summary["sentence"]), style="bold"))
        for each in tables:
            self.out.print(each, soft_wrap=False)
        for line in notes:
            self.out.print(one_line(line), markup=False)

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
            for line in diagnosis_lines(summary):
                self.out.print(plain(line), markup=False)
            shown = shown_facts(summary, every="sentence" not in summary or self.verbose)
            if shown:
                self.table(f"{summary['command']}: {summary['status']}", shown)
            self.out.print(plain(f"{summary['run_dir']}/  {'  '.join(files)}"), markup=False)

    def answers(self, rows: Iterable[Answer], files: Sequence[Path], names: Sequence[str]) -> None:
        """What images are taken for, a line each, as they come.

        Args:
            rows: the answers.
            files: all that there will be.
            names: of the classes.
        """
        for line in answer_lines(rows, files, names):
            if not self.quiet:
                self.out.print(line)

    def checks(self, result: CheckResult) -> None:
        """What was looked at before a training, and what it comes to."""
        summary = result.summary()
        if self.as_json:
            sys.stdout.write(json.dumps({"command": "check", **summary}) + "\n")
            return
        self.out.print(check_table(result), soft_wrap=False)
        self.out.print(Text(plain(summary["sentence"]), style="bold"))

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
    """A line with steps, time left, the loss and its recent curve; epochs as lines above it."""

    def __init__(self, pace: Pace, console: Console, stops: Callable[[], bool]) -> None:
        self.pace, self.console, self.stops = pace, console, stops
        self.live = Live(console=console, transient=True, refresh_per_second=10, get_renderable=self._line)

    def _line(self) -> Text:
        line = STOPPING if self.stops() else self.pace.line(self.console.width)
        return Text(line, no_wrap=True, overflow="crop", style="cyan")

    def __enter__(self) -> OnProgress:
        self.live.start()
        return self.report

    def __exit__(self, *_: object) -> None:
        self.live.stop()

    def report(self, report: Report) -> None:
        """A line for what is over or said, and the bar."""
        if report.loss is not None:
            self.pace.tell(report.done, report.total, report.loss)
        if report.epoch is not None:
            self.console.print(epoch_text(report.epoch), markup=False)
        if report.line is not None:
            self.console.print(plain(report.line), markup=False)
