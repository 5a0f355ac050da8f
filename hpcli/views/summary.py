"""A summary on a terminal: facts in two columns, and a table where values are compared."""

from __future__ import annotations

from collections.abc import Sequence

from rich.markup import escape
from rich.table import Table
from rich.text import Text

from hpcli.results.facts import Facts, columns_of, is_table, plain, readable, shown_facts

__all__ = ["fact_tables", "plain", "shown_facts"]


def fact_tables(title: str, facts: Facts) -> list[Table]:
    """Facts in two columns; lists of facts as tables of their own, under them."""
    table = Table(title=escape(plain(title)), title_justify="left", title_style="bold", show_header=False, box=None)
    table.add_column(style="dim")
    table.add_column()
    tables = [table]
    for name, value in facts.items():
        if is_table(value):
            tables.append(_columns(value))
        else:
            table.add_row(name.replace("_", " "), Text(readable(name, value)))
    return tables


def _columns(lines: Sequence[Facts]) -> Table:
    """Lines of the same facts, one under the other; a column that is empty throughout is left out."""
    table = Table(box=None, header_style="dim")
    names = columns_of(lines)
    for name in names:
        table.add_column(name, no_wrap=True, justify="left" if isinstance(lines[0][name], str) else "right")
    for line in lines:
        table.add_row(*(Text(readable(name, line[name])) for name in names))
    return table
