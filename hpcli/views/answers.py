"""What images are taken for, as lines that stand under each other while they come."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from rich.cells import cell_len
from rich.text import Text

from hpcli.results.predict import Answer
from hpcli.views.cells import one_line

WIDEST = 60
"""Columns that a name may take before the lines stop standing under each other."""


def answer_lines(rows: Iterable[Answer], files: Sequence[Path], names: Sequence[str]) -> Iterator[Text]:
    """A line a file: its name, and each class with its probability; or why it cannot be read.

    Args:
        rows: the answers.
        files: all that there will be, for the width of the first column.
        names: of the classes, likewise.
    """
    file_width, class_width = (_widest(map(str, each)) for each in (files, names))
    for row in rows:
        line = Text(_padded(one_line(row.file), file_width))
        if row.reason is not None:
            line.append(f"  cannot be read: {one_line(row.reason)}", style="red")
        for place, (name, probability) in enumerate(row.guesses):
            shown = f"  {_padded(one_line(name), class_width)} {probability:>6.1%}"
            line.append(shown, style="dim" if place else "bold")
        yield line


def _widest(texts: Iterable[str]) -> int:
    return min(WIDEST, max((cell_len(one_line(each)) for each in texts), default=0))


def _padded(text: str, width: int) -> str:
    return text + " " * (width - cell_len(text))
