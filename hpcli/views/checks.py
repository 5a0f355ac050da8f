"""The checks before a training as a table that fits a screen."""

from __future__ import annotations

from rich.table import Table
from rich.text import Text

from hpcli.results.check import CheckResult
from hpcli.results.facts import plain, time_text
from hpcli.states import CheckStatus

COLOURS = {CheckStatus.OK: "green", CheckStatus.LOOK: "yellow", CheckStatus.BAD: "bold red"}


def check_table(result: CheckResult) -> Table:
    """A line a check, under it what to do where it is not ok; last, how long training takes."""
    table = Table(box=None, show_header=False, pad_edge=False)
    for _ in range(3):
        table.add_column(vertical="top")
    for each in result.checks:
        text = Text(plain(each.text))
        if each.status != CheckStatus.OK and each.remedy:
            text.append(f"\n{plain(each.remedy)}", style="italic")
        table.add_row(Text(str(each.status), style=COLOURS[each.status]), Text(each.name), text)
    takes = (
        f"{result.images_per_second:,.0f} images/s: {result.epochs} epochs take about {time_text(result.train_seconds)}"
    )
    table.add_row("", Text("training"), Text(takes))
    return table
