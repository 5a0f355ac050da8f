"""`hpcli suggest`."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated

import typer

from hpcli.cli.options import Json, Strict
from hpcli.errors import DIVERGED, UsageError


def suggest(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A CSV file with a row a step.")],
    lr: Annotated[str | None, typer.Option(metavar="COLUMN", help="The learning rate. Default: lr.")] = None,
    loss: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="The training loss of each step, raw. Default: train_loss.")
    ] = None,
    seed: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="Tells curves apart. Default: seed, where there is one.")
    ] = None,
    value: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="What is overlaid. Default: value, where there is one.")
    ] = None,
    chance: Annotated[
        float | None, typer.Option(help="The loss of a network that has learnt nothing: ln 10 = 2.3 of 10 classes.")
    ] = None,
    strict: Strict = False,
    as_json: Json = False,
) -> int:
    """Read a range test made elsewhere, from a CSV file: a learning rate, or the reason why there is none."""
    from hpcli.cli.terminal import Terminal
    from hpcli.foreign_csv import open_csv
    from hpcli.results.foreign_curves import CurveColumns, read_curves

    if chance is not None and not math.isfinite(chance):
        raise UsageError(f"--chance {chance}: must be a number")
    with open_csv(file) as rows:
        found = read_curves(rows, CurveColumns.find(rows, lr=lr, loss=loss, seed=seed, value=value), chance=chance)
    Terminal(as_json=as_json).finding("suggest", file, found.summary(), found.notes)
    return DIVERGED if strict and found.has_refusal else 0
