"""A page about runs: one file that needs nothing else, for people to read and for programs to read back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from jinja2 import Environment, StrictUndefined, Template
from markupsafe import Markup
from rich.table import Table as RichTable

from hpcli import plots
from hpcli.errors import UsageError
from hpcli.files import storing, write_atomic
from hpcli.runs.compare import compare, names_of
from hpcli.runs.comparison import Comparison
from hpcli.runs.glance import glance
from hpcli.runs.judging import in_words
from hpcli.runs.page import GENERATOR, ID, is_page, page_json, plain_run
from hpcli.views.cells import one_line
from hpcli.views.compare import all_tables, said
from hpcli.views.report_cells import Table
from hpcli.views.report_pictures import Picture, colour_rules, pictures
from hpcli.views.report_run import full_part, short_part

if TYPE_CHECKING:
    from hpcli.runs.run import Run

MOST_IN_FULL = 6
"""Runs that a page shows with their pictures; of more it shows each by its answer and what made it."""
HOW_TO_READ = (
    "Mean validation loss (nats) ± its standard error. In brackets: how far above the best a setting may lie; one "
    "whose interval begins above 0 is worse, one that is undecided is not told apart from the best."
)
ENOUGH = 10**6
"""Cells of a terminal, in which every table is one."""


@dataclass(frozen=True)
class Together:
    """Several runs side by side."""

    answer: str
    tables: tuple[Table, ...]
    shown: tuple[Picture, ...]
    notes: tuple[str, ...]


def report(runs: Sequence[Run], *, refresh: int | None = None) -> str:
    """The page.

    Args:
        runs: one or more.
        refresh: seconds after which a browser loads it again; None: never.
    """
    runs = list({run.path.resolve(): run for run in runs}.values())
    compared = compare(runs) if len(runs) > 1 else None
    looks = [glance(path, name) for path, name in names_of([run.path for run in runs]).items()]
    in_full = len(runs) <= MOST_IN_FULL
    parts = [
        full_part(run, look, f"f{place}-") if in_full else short_part(look)
        for place, (run, look) in enumerate(zip(runs, looks, strict=True))
    ]
    together = None if compared is None else _together(compared)
    drawn = [picture for part in parts for each in part.every for picture in each.shown]
    light, dark = colour_rules([*drawn, *(together.shown if together else ())])
    held = page_json([plain_run(look, run) for run, look in zip(runs, looks, strict=True)])
    return _template().render(
        parts=parts, together=together, light=light, dark=dark, css=Markup(_text("report.css")),
        generator=Markup(GENERATOR), held=Markup(held), held_id=ID, refresh=refresh,
        title=f"{parts[0].title}: {parts[0].name}" if together is None else f"{len(parts)} runs",
        in_full=in_full,
    )  # fmt: skip


def _together(compared: Comparison) -> Together:
    answer = in_words(compared) or "These runs are of different commands or data: each is shown for itself."
    drawn = {"compare": plots.compare(compared)} if len(compared.trained) > 1 else {}
    return Together(
        answer,
        tuple(_plain(each) for each in all_tables(compared, ENOUGH)),
        tuple(pictures(drawn, prefix="together", label=answer)),
        tuple(said(compared)),
    )


def _plain(table: RichTable) -> Table:
    """A table of the terminal as one of the page."""
    header = tuple(str(column.header) for column in table.columns)
    columns = [[str(cell) for cell in column.cells] for column in table.columns]
    titles = {"setting": "Settings, the lowest mean loss first", "run": "Runs, and what differs between them"}
    note = HOW_TO_READ if "verdict" in header else ""
    return Table(titles.get(header[0], header[0]), header, tuple(zip(*columns, strict=True)), note)


def write_page(path: Path, page: str) -> None:
    """Write a page, whole, over an older one if there is one.

    Raises:
        UsageError: something else is there.
        StorageError: it cannot be written.
    """
    if path.exists() and not (path.is_file() and is_page(path)):
        raise UsageError(f"{path}: exists, and is no report of hpcli's; name another file by -o")
    if not path.parent.is_dir():
        raise UsageError(f"{path.parent}: no such folder; make it, or name another file by -o")
    with storing(path):
        write_atomic(path, page.encode())


@cache
def _template() -> Template:
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
                              finalize=_shown)  # fmt: skip
    return environment.from_string(_text("report.html"))


def _text(name: str) -> str:
    return (files("hpcli.views") / "templates" / name).read_text("utf-8")


def _shown(value: object) -> object:
    """Text in which nothing but the end of a line moves anything: names are a user's."""
    if isinstance(value, Markup):
        return value
    return "\n".join(map(one_line, str(value).split("\n")))
