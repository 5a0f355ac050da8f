"""`hpcli runs`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hpcli.cli import completion
from hpcli.cli.exporting import Csv
from hpcli.cli.options import Json

Folder = Annotated[
    Path | None,
    typer.Argument(
        metavar="[DIR]",
        help="Where to look; of a sweep: its trials. Default: runs/.",
        autocompletion=completion.run_folders,
    ),
]
Sort = Annotated[
    str,
    typer.Option(
        metavar="KEY",
        help="age, name, command, status, loss, accuracy, duration, or a key of the config.",
        autocompletion=completion.orders,
    ),
]
Filters = Annotated[
    list[str] | None,
    typer.Option(
        "--filter",
        metavar="TEXT",
        help="command=train, status=crashed, model.name=resnet56 (any key), or part of a name; repeatable: all hold.",
    ),
]


def runs(
    folder: Folder = None, sort: Sort = "age", filters: Filters = None, to_csv: Csv = None, as_json: Json = False
) -> int:
    """List the runs in a folder: how each stands, what differs between them, what came of them."""
    import time

    from hpcli.cli.exporting import write_csv
    from hpcli.cli.terminal import Terminal
    from hpcli.runs.listing import list_runs, records, rows
    from hpcli.views.runs import listing_notes, listing_table

    terminal = Terminal(as_json=as_json)
    where = Path("runs") if folder is None else folder
    if folder is None and not where.is_dir():
        terminal.comparison({"folder": str(where), "runs": []}, [], [f"{where}: no runs yet; hpcli train makes one"])
        return 0
    listing = list_runs(where, filters=filters or (), sort=sort)
    if to_csv is not None:
        write_csv(to_csv, rows(listing), as_json=as_json)
    tables = [listing_table(listing, now=time.time())] if listing.runs else []
    if to_csv != "-":
        terminal.comparison({"folder": str(where), "runs": records(listing)}, tables, listing_notes(listing))
    return 0
