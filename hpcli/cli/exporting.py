"""`--csv FILE`: a table for other programs, into a file or, as -, on stdout."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer

from hpcli.errors import UsageError

Csv = Annotated[str | None, typer.Option("--csv", metavar="FILE", help="The table as CSV into a file; -: on stdout.")]


def write_csv(target: str, rows: Sequence[Mapping[str, object]], *, as_json: bool) -> None:
    """Write rows of plain values; a list or a mapping as JSON. Columns stand in the order in which rows bring them.

    Args:
        target: a file, or -.
        rows: of one table.
        as_json: whether stdout is taken by a JSON object.

    Raises:
        UsageError: the file is a folder, or stdout is taken.
        OSError: it cannot be written.
    """
    names = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names)
    writer.writerows([[_cell(row.get(name)) for name in names] for row in rows])
    if target == "-" and as_json:
        raise UsageError("--csv - and --json: both write to stdout; name a file for one of them")
    if target == "-":
        sys.stdout.write(text.getvalue())
        return
    if Path(target).is_dir():
        raise UsageError(f"--csv {target}: a folder; name a file")
    Path(target).write_bytes(text.getvalue().encode("utf-8", "surrogateescape"))  # as names of files need


def _cell(value: object) -> object:
    return json.dumps(value) if isinstance(value, dict | list | tuple | bool) else value
