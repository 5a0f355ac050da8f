"""docs/papers.md's table and pictures, from the tables that are kept."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import papers_plots as plots
import papers_tables as tables
from matplotlib.figure import Figure
from papers_rows import CHANCE, IMAGES, TRAINED, beginnings, lines, rows
from tutorial import shrink

ROOT = Path(__file__).parents[1]
PAGE, PICTURES = ROOT / "docs/papers.md", ROOT / "docs/pictures/papers"
TABLE = re.compile(r"(?<=<!-- the table -->\n).*?(?=<!-- its end -->)", re.DOTALL)


def make_page() -> None:
    """Write the table into the page, and draw its pictures."""
    PAGE.write_text(TABLE.sub(lambda _: table(), PAGE.read_text()))
    PICTURES.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory() as place:
        for name, draw in PICTURED.items():
            if not tables.is_kept(name):
                continue
            file = Path(place) / f"{name}.png"
            draw().savefig(file, dpi=150)
            shrink(file, PICTURES / f"{name}.png")


def table() -> str:
    """The page's table."""
    lines = ["| experiment | published | here | read |", "|---|---|---|---|"]
    for row in rows():
        config = f"[{row.config}](../configs/papers/{row.config}.yaml)"
        lines.append(f"| {row.question} ({config}) | {row.published} | {row.here} | {row.reading} |")
    return "".join(f"{line}\n" for line in lines)


def _sweep(name: str, xlabel: str) -> Callable[[], Figure]:
    return lambda: plots.seeds(tables.sweep(name), xlabel)


def _ranges(name: str, *, is_linear: bool = False) -> Callable[[], Figure]:
    return lambda: plots.ranges(tables.ranges(name), CHANCE, is_linear=is_linear)


def _curves(name: str, names: Mapping[str, str]) -> Callable[[], Figure]:
    def draw() -> Figure:
        found = tables.curves(name)
        return plots.curves({shown: found[value] for value, shown in names.items()})

    return draw


def _draw_short_runs() -> Figure:
    long, short = tables.sweep("short-runs-long"), tables.sweep("short-runs-short")
    rates = np.array([float(each) for each in long.values])
    ways = {"long runs": long.losses, "their beginnings": beginnings(), "short complete cycles": short.losses}
    return plots.against({name: (rates, losses) for name, losses in ways.items()}, "highest learning rate")


def _draw_limited() -> Figure:
    found, shares = tables.sweep("limited-data"), ("0.02", "0.05", "0.2")
    images = np.array([IMAGES * float(share) for share in shares])
    losses = {
        shown: found.only(*(f"{name} & {share}" for share in shares)).losses
        for shown, name in (("1cycle", "one_cycle"), ("piecewise", "piecewise"))
    }
    return plots.against({name: (images, each) for name, each in losses.items()}, "training images", marks_lowest=False)


def _draw_trained() -> Figure:
    fresh, trained = tables.ranges("range-fresh"), tables.ranges(*TRAINED)
    return plots.ranges({"fresh": fresh[""], "trained for two epochs": trained[""]}, CHANCE)


PICTURED: dict[str, Callable[[], Figure]] = {
    "range-depth": _ranges("range-depth", is_linear=True),
    "range-plain": _ranges("range-plain"),
    "range-decay": _ranges("range-decay"),
    "range-trained": _draw_trained,
    "policies": _curves("policies", {each: each for each in ("constant", "piecewise", "triangular", "triangular2")}),
    "super-convergence": _curves(
        "super-convergence",
        {
            "one_cycle & 60": "1cycle, half the steps",
            "one_cycle & 120": "1cycle",
            "piecewise & 60": "piecewise, half the steps",
            "piecewise & 120": "piecewise",
        },
    ),
    "limited-data": _draw_limited,
    "batch-sizes": _sweep("batch-sizes", "batch size"),
    "momentum-sgd": lambda: plots.seeds(
        tables.sweep("momentum-sgd").only("0.85", "0.9", "0.95", "0.95-0.85"), "momentum"
    ),
    "momentum-adamw": _sweep("momentum-adamw", "momentum"),
    "decay-sgd": _sweep("decay-sgd", "weight decay"),
    "decay-adamw": _sweep("decay-adamw", "weight decay"),
    "cycle-ends": lambda: plots.lines(lines("cycle-ends"), CHANCE),
    "two-seeds": lambda: plots.lines(lines("two-seeds"), CHANCE),
    "short-runs": _draw_short_runs,
}
"""Picture → how it is drawn."""
