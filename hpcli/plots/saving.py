"""A figure as a file, or as text for a page: the same figure gives the same bytes."""

from __future__ import annotations

import io
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

from hpcli.files import storing, write_atomic
from hpcli.plots.dark import darken
from hpcli.recording.glyphs import glyphs_in_a_line

NO_DATE: dict[str, dict[str, None]] = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}
"""A file that says when it was drawn differs each time."""


def save(figure: Figure, path: Path, *, dark: bool = False) -> Path:
    """Write a figure, in the format that the name ends with, whole; its folder is made.

    Args:
        figure: its colours are changed where it is for a dark page.
        path: ending in .png, .svg or .pdf.
        dark: whether it is for a dark page.

    Returns:
        The path.

    Raises:
        StorageError: the file cannot be written.
    """
    if dark:
        darken(figure)
    with glyphs_in_a_line(path.name):
        content = drawn(figure, path.suffix[1:])
    with storing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, content)
    return path


def drawn(figure: Figure, kind: str) -> bytes:
    """A figure as the bytes of a png, svg or pdf. An svg's words are words, which a reader can search and copy."""
    buffer = io.BytesIO()
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "hpcli"}):
        figure.savefig(buffer, format=kind, metadata=NO_DATE.get(kind))
    return buffer.getvalue()
