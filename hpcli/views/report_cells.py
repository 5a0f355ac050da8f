"""A table of a report, and the numbers in it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from hpcli.results.facts import Facts, columns_of, readable

_NUMBER = re.compile(r"[+−-]?\d[\d,.]*(e[+-]?\d+)?( ?%)?( ± .*)?( \[.*\])?|–")


@dataclass(frozen=True)
class Table:
    """A table of texts."""

    title: str
    header: tuple[str, ...]  # empty: names and values
    rows: tuple[tuple[str, ...], ...]
    note: str = ""  # how it is read

    @cached_property
    def is_number(self) -> tuple[bool, ...]:
        """Of each column: whether it is put to the right; the first one names its row."""
        columns = zip(*self.rows, strict=True)
        found = [all(not cell or _NUMBER.fullmatch(cell) for cell in column) and any(column) for column in columns]
        return (False, *found[1:])


def of_facts(title: str, lines: Sequence[Facts]) -> Table:
    """Lines of the same facts as a table; what is empty throughout is left out."""
    names = columns_of(lines)
    return Table(title, tuple(names), tuple(tuple(readable(name, line[name]) for name in names) for line in lines))


def number(value: object, digits: int = 4) -> str:
    """A number in so many digits; empty: there is none."""
    return f"{value:.{digits}g}" if isinstance(value, int | float) else ""
