"""Where the answers of `hpcli predict` go: lines on the terminal, a CSV file, or JSON; one batch is in memory."""

from __future__ import annotations

import csv
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from hpcli.cli.terminal import Terminal
from hpcli.experiments.predict import none_readable
from hpcli.results.facts import plain
from hpcli.results.predict import Answer, tally

if TYPE_CHECKING:
    from hpcli.experiments.predict import Predictor

STDOUT = Path("-")


class Tally:
    """Counts answers as they pass."""

    def __init__(self, rows: Iterator[Answer]) -> None:
        self.rows = rows
        self.counts: Counter[str] = Counter()
        self.unreadable = 0
        self.first_unreadable: Answer | None = None

    def __iter__(self) -> Iterator[Answer]:
        for row in self.rows:
            if row.reason is None:
                self.counts[row.guesses[0][0]] += 1
            else:
                self.unreadable += 1
                self.first_unreadable = self.first_unreadable or row
            yield row


def show_answers(predictor: Predictor, *, top: int, file: Path | None, terminal: Terminal) -> int:
    """Let a network answer, and show it.

    Args:
        predictor: the network and its images.
        top: classes an image.
        file: a CSV file to write; `-` is stdout; None: the terminal's lines, or its JSON.
        terminal: where else.

    Raises:
        DataError: none of the images can be read; that is said of each first.
    """
    top = min(top, len(predictor.names))
    rows = Tally(predictor.answers(top))
    if terminal.as_json:
        listed = [_plain(row) for row in _watched(rows, predictor, terminal)]
        terminal.table("predict", {"command": "predict", **tally(rows.counts, rows.unreadable), "answers": listed})
    elif file is None:
        terminal.answers(rows, predictor.files, predictor.names)
    else:
        with _opened(file) as target:
            write = csv.writer(target, lineterminator="\n").writerow
            write(
                ["file", "class", "probability", *(f"{name}_{n}" for n in range(2, top + 1) for name in PAIR), "error"]
            )
            for row in rows if file == STDOUT else _watched(rows, predictor, terminal):
                cells = _cells(row, top)
                write(_shown(cells) if target.isatty() else cells)
    if rows.first_unreadable is not None and not rows.counts:
        raise none_readable(rows.first_unreadable.file, str(rows.first_unreadable.reason), rows.unreadable)
    if not terminal.as_json:
        terminal.note(str(tally(rows.counts, rows.unreadable)["sentence"]))
    return 0


PAIR = ("class", "probability")


def _watched(rows: Tally, predictor: Predictor, terminal: Terminal) -> Iterator[Answer]:
    """The rows, with a bar."""
    with terminal.decoding() as report:
        for number, row in enumerate(rows, 1):
            yield row
            if number % 100 == 0 or number == len(predictor.files):
                report(number, len(predictor.files))


@contextmanager
def _opened(file: Path) -> Iterator[TextIO]:
    """A file to write text to, whatever bytes names of files hold."""
    if file == STDOUT:
        yield sys.stdout
        return
    with file.open("w", newline="", encoding="utf-8", errors="surrogateescape") as target:
        yield target


def _cells(row: Answer, top: int) -> list[str]:
    pairs = [each for name, probability in row.guesses for each in (name, f"{probability:.6g}")]
    return [str(row.file), *(pairs or [""] * (2 * top)), row.reason or ""]


def _shown(cells: list[str]) -> list[str]:
    """Cells for a terminal, which would obey an escape sequence in a name."""
    return [plain(each) for each in cells]


def _plain(row: Answer) -> dict[str, object]:
    guesses = [dict(zip(PAIR, each, strict=True)) for each in row.guesses]
    return {"file": str(row.file), "guesses": guesses, "error": row.reason}
