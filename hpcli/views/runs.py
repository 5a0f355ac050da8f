"""The runs in a folder as a table of the terminal, which fits into 80 columns whatever the runs are called."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from hpcli.results.facts import time_text
from hpcli.runs.differing import setting_text, short_names
from hpcli.states import RunStatus
from hpcli.views.cells import clipped, facts_text, one_line

if TYPE_CHECKING:
    from hpcli.runs.listing import Listing

STYLES = {
    RunStatus.DIVERGED: "red",
    RunStatus.FAILED: "red",
    RunStatus.CRASHED: "red",
    RunStatus.DAMAGED: "red",
    RunStatus.INTERRUPTED: "yellow",
    RunStatus.RUNNING: "green",
}
NAME, SETTING = 48, 90
"""Cells of a name, and of what differs, at most; each is folded into its column."""


def listing_table(listing: Listing, *, now: float) -> Table:
    """A row a run. The command is left out where it is the same in all.

    Args:
        listing: of a run at least.
        now: Unix time, for the ages.
    """
    commands = {run.command for run in listing.runs}
    table = Table(box=None, header_style="dim", padding=(0, 1, 0, 0))
    for column in ("run", *(["command"] if len(commands) > 1 else []), "status", "differs in", "result", "age", "took"):
        folds = column in ("run", "differs in", "result")
        table.add_column(
            column, overflow="fold", no_wrap=not folds, justify="right" if column in ("age", "took") else "left",
            min_width=8 if folds else None,
        )  # fmt: skip
    for run in listing.runs:
        own = listing.own(run)
        table.add_row(
            Text(clipped(run.name, NAME)),
            *([Text(clipped(run.command or "?", 12))] if len(commands) > 1 else []),
            Text(run.status, STYLES.get(run.status, "")),
            Text(clipped(setting_text(own, short_names(own.keys())), SETTING)),
            Text(one_line(facts_text(run.facts))),
            Text(time_text(now - run.updated)),
            Text(time_text(run.seconds)),
        )
    return table


def listing_notes(listing: Listing) -> list[str]:
    """What is to be said under the table: what all runs share, how many are not shown, what is wrong with which."""
    if not listing.runs:
        none = f"none of {listing.found} runs meets --filter" if listing.found else "no runs; hpcli train makes one"
        return [f"{listing.folder}: {none}"]
    alike, commands = listing.shared, {run.command for run in listing.runs if run.command}
    said = [*(commands if len(commands) == 1 else ()), setting_text(alike, short_names(alike.keys()))]
    notes = [f"all: {', '.join(filter(None, said))}"] if any(said) and len(listing.runs) > 1 else []
    if listing.found > len(listing.runs):
        notes.append(f"{len(listing.runs)} of {listing.found} runs: the others do not meet --filter")
    return notes + [f"damaged: {run.fault}" for run in listing.runs if run.fault]
