"""`hpcli verdict`."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated

import typer

from hpcli.cli.options import Json
from hpcli.errors import UsageError

File = Annotated[Path, typer.Argument(metavar="FILE", help="A CSV file with a row a run, or a row a step.")]
Value = Annotated[str | None, typer.Option(metavar="COLUMN", help="What is compared, such as lr. Default: value.")]
Seed = Annotated[
    str | None,
    typer.Option(metavar="COLUMN", help="Tells the runs of a value apart. Default: seed, where there is one."),
]
Loss = Annotated[
    str | None, typer.Option(metavar="COLUMN", help="What is judged; lower is better. Default: valid_loss.")
]
Step = Annotated[
    str | None, typer.Option(metavar="COLUMN", help="Of a run's rows the one with the highest step counts.")
]
Matters = Annotated[float, typer.Option(help="The difference worth knowing, as a share of the lowest loss.")]
Chance = Annotated[
    float | None, typer.Option(help="The loss of a network that has learnt nothing: ln 10 = 2.3 of 10 classes.")
]
Present = Annotated[
    str | None, typer.Option(metavar="VALUE", help="What you use today; it is kept where it is as good.")
]
Higher = Annotated[
    bool, typer.Option("--higher-is-better", help="The column is an accuracy; the share that is wrong is judged.")
]
Look = Annotated[int, typer.Option(min=1, help="How often these runs have been judged, this time included.")]


def verdict(
    file: File,
    value: Value = None,
    seed: Seed = None,
    loss: Loss = None,
    step: Step = None,
    matters: Matters = 0.01,
    chance: Chance = None,
    present: Present = None,
    higher_is_better: Higher = False,
    look: Look = 1,
    as_json: Json = False,
) -> int:
    """Judge runs made elsewhere, from a CSV file: which values can be told apart, and which to use."""
    from hpcli.cli.terminal import Terminal
    from hpcli.foreign_csv import open_csv
    from hpcli.results.foreign_runs import RunColumns, read_runs
    from hpcli.results.foreign_verdict import judge

    if not 0 <= matters < math.inf or (chance is not None and not math.isfinite(chance)):
        raise UsageError("--matters and --chance: must be numbers, --matters not below 0")
    with open_csv(file) as rows:
        columns = RunColumns.find(rows, value=value, seed=seed, loss=loss, step=step)
        runs = read_runs(rows, columns)
    found = judge(
        runs, judged=columns.loss, matters=matters, chance=chance, present=present, higher_is_better=higher_is_better,
        look=look,
    )  # fmt: skip
    Terminal(as_json=as_json).finding("verdict", file, found.summary(), found.notes)
    return 0
