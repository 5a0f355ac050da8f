"""`hpcli compare`."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hpcli.cli import completion
from hpcli.cli.exporting import Csv
from hpcli.cli.options import Json
from hpcli.errors import DataError, UsageError

if TYPE_CHECKING:
    from hpcli.runs.comparison import Comparison

Runs = Annotated[
    list[Path],
    typer.Argument(
        metavar="RUN...",
        help="Run folders, or pages of hpcli report; two runs at least.",
        autocompletion=completion.run_folders,
    ),
]
Out = Annotated[
    Path | None, typer.Option(help="Draw compare.png into this folder, which is made; without it nothing is written.")
]
Matters = Annotated[float, typer.Option(help="The difference worth knowing, as a share of the lowest mean loss.")]
Look = Annotated[int, typer.Option(min=1, help="How often these runs have been judged, this time included.")]


def compare(
    runs: Runs, out: Out = None, matters: Matters = 0.01, look: Look = 1, to_csv: Csv = None, as_json: Json = False
) -> int:
    """Compare runs: settings that differ, results with their noise, what can be told apart; with --out the curves."""
    from hpcli.cli.exporting import write_csv
    from hpcli.cli.terminal import Terminal
    from hpcli.runs.compare import compare as compared_runs
    from hpcli.views.compare import all_tables, rows, said, summary

    if not 0 <= matters < math.inf:
        raise UsageError(f"--matters {matters}: must be a number, not below 0")
    compared, terminal = compared_runs(runs, matters=matters, look=look), Terminal(as_json=as_json)
    if to_csv is not None:
        write_csv(to_csv, rows(compared), as_json=as_json)
    if to_csv != "-":
        terminal.comparison(summary(compared), all_tables(compared, terminal.out.width), said(compared))
    if out is not None and compared.trained:
        _draw(compared, out)
        terminal.note(f"wrote {out / 'compare.png'}")
    if not compared.is_any:
        raise DataError("nothing to compare: no two of these are runs of one command on the same data")
    return 0


def _draw(compared: Comparison, out: Path) -> None:
    """Draw into a folder, which is made.

    Raises:
        StorageError: it cannot be made, or written into.
    """
    from hpcli.cli.terminal import show_warnings
    from hpcli.plots import compare as draw
    from hpcli.plots.saving import save

    show_warnings()
    save(draw(compared), out / "compare.png")
