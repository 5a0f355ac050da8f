"""stdout and stderr that cannot stop a run: what nobody can take any more is dropped."""

from __future__ import annotations

import errno
import io
import os
import select
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO


@contextmanager
def unbreakable_streams() -> Iterator[None]:
    """While entered, writing to stdout and stderr never fails: not without a reader, on a full disk, or closed.

    An ASCII terminal gets question marks for what it cannot show. Streams that are not the process's own, such as a
    notebook's, stay as they are.
    """
    _fill_closed()
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = (_unbreakable(stream, number) for number, stream in enumerate(before, start=1))
    try:
        yield
    finally:
        for stream, name in ((sys.stdout, "stdout"), (sys.stderr, "stderr")):
            stream.flush()
            _say_lost(stream, name)
        sys.stdout, sys.stderr = before


def _fill_closed() -> None:
    """Open the null device in place of closed streams: the next file would be taken for one, and printed into."""
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(number)


def _say_lost(stream: TextIO, name: str) -> None:
    """Say that something could not be written, unless it is only that the reader has gone."""
    raw = getattr(getattr(stream, "buffer", None), "raw", None)
    if isinstance(raw, _Dropping) and raw.lost is not None and raw.lost.errno != errno.EPIPE:
        sys.stderr.write(f"warning: {name}: {raw.lost.strerror}; what was written there is not complete\n")


def _unbreakable(stream: TextIO | None, number: int) -> TextIO:
    if stream is not None and not _writes_to(stream, number):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
        return stream
    if stream is not None:
        stream.flush()
    raw = _Dropping(number, "w", closefd=False)
    text = stream if isinstance(stream, io.TextIOWrapper) else None
    return io.TextIOWrapper(
        io.BufferedWriter(raw),  # type: ignore[type-var]  # write() also takes what FileIO's does
        encoding=text.encoding if text else "utf-8",
        errors="replace",
        line_buffering=text is None or text.line_buffering,
        write_through=text is not None and text.write_through,
    )


def _writes_to(stream: TextIO, number: int) -> bool:
    try:
        return stream.fileno() == number
    except (OSError, ValueError):
        return False


class _Dropping(io.FileIO):
    """A file that takes everything: what cannot be written is dropped, and all that comes after it."""

    lost: OSError | None = None

    def write(self, data: bytes) -> int:  # type: ignore[override]
        """Write, waiting where a pipe that does not block is full."""
        while self.lost is None:
            try:
                written = super().write(data)
                if written is not None:
                    return written
                select.select([], [self], [])
            except OSError as error:
                self.lost = error
        return len(data)
