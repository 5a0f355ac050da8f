"""Runs within a report's page: what it holds of them for programs, and how they are read back."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from hpcli.config import Config
from hpcli.config.loading import to_dict
from hpcli.errors import CheckpointError, HpcliError
from hpcli.recording.recorder import Arrays, Rows
from hpcli.recording.rows import R, Row, cells, columns_of
from hpcli.recording.status import json_value
from hpcli.results.data import ClassImages, PartImages
from hpcli.results.train import Epoch
from hpcli.runs.glance import Glance
from hpcli.states import RunStatus

ID = "hpcli-runs"
"""Of the element that holds them."""
PAGE_FORMAT = 1
KEPT: tuple[type[Row], ...] = (ClassImages, PartImages, Epoch)
"""Tables that a page holds: what a run is compared by."""
GENERATOR = '<meta name="generator" content="hpcli report">'
"""By which a report is known."""
_HELD = re.compile(rf'<script type="application/json" id="{ID}">(.*?)</script>', re.DOTALL)
_UNSAFE = {ord(letter): f"\\u{ord(letter):04x}" for letter in "<>&\u2028\u2029"}


@dataclass(frozen=True)
class PageRows:
    """The tables that a page holds of a run."""

    name: str  # of the run, for an error
    tables: Mapping[str, Sequence[Sequence[object]]]  # table → rows of its cells; a number that is not finite is a text

    def rows(self, kind: type[R]) -> list[R]:
        """All rows of a table; none where the page does not hold it.

        Raises:
            CheckpointError: it is damaged.
        """
        columns = columns_of(kind)
        try:
            return [
                kind(**{each.field: _cell(each.kind, cell) for each, cell in zip(columns, row, strict=True)})
                for row in self.tables.get(kind.table, [])
            ]
        except (TypeError, ValueError):
            raise CheckpointError(f"{self.name}: the page's {kind.table} is damaged; make the page anew") from None

    def arrays(self, name: str) -> Arrays | None:
        """None: a page holds no arrays."""
        return None


def _cell(kind: type, cell: object) -> object:
    return cell if cell is None else kind(cell)


def plain_run(look: Glance, rows: Rows) -> dict[str, object]:
    """What a page holds of a run, in plain values."""
    return {
        "name": look.name,
        "command": look.command,
        "status": look.status,
        "updated": look.updated,
        "seconds": look.seconds,
        "config": None if look.config is None else to_dict(look.config),
        "summary": look.summary,
        "fault": look.fault,
        "tables": _tables(rows) if not look.fault else {},
    }


def _tables(rows: Rows) -> dict[str, object]:
    return {kind.table: [[_plain(cell) for cell in cells(row)] for row in rows.rows(kind)] for kind in KEPT}


def _plain(cell: object) -> object:
    return str(cell) if isinstance(cell, float) and json_value(cell) is None else cell


def page_json(runs: Sequence[Mapping[str, object]]) -> str:
    """Runs as JSON that may stand within a page: it ends no element, begins no comment."""
    held = json_value({"format": PAGE_FORMAT, "runs": list(runs)})
    return json.dumps(held, separators=(",", ":"), allow_nan=False).translate(_UNSAFE)


def is_page(path: Path) -> bool:
    """Whether a file is a report of hpcli's.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        return GENERATOR.encode() in file.read(2048)


def page_runs(path: Path) -> list[tuple[Glance, Rows]]:
    """The runs that a report holds: each at a glance, and its tables.

    Raises:
        CheckpointError: the file is no report of hpcli's, or is damaged.
    """
    try:
        found = _HELD.search(path.read_text("utf-8")) if is_page(path) else None
        held = None if found is None else json.loads(found[1])
        if held is None or held["format"] != PAGE_FORMAT:
            raise ValueError
        return [_run(path, each) for each in held["runs"]]
    except HpcliError:
        raise
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error.strerror})") from None
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, ValidationError):
        raise CheckpointError(f"{path}: no report of this hpcli, or a damaged one; make it anew") from None


def _run(path: Path, plain: Mapping[str, object]) -> tuple[Glance, Rows]:
    config, known = plain["config"], {key: plain[key] for key in ("summary", "fault", "command", "seconds")}
    name = str(plain["name"])
    look = Glance(
        path, name, RunStatus(str(plain["status"])), float(str(plain["updated"])),
        config=None if config is None else Config.model_validate(config),
        **known,  # type: ignore[arg-type]
    )  # fmt: skip
    return look, PageRows(name, plain["tables"])  # type: ignore[arg-type]
