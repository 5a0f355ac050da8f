"""Results as matplotlib figures. Nothing here trains, saves or shows, and nothing imports torch.

A module a command; its `figures` gives all pictures of a result by name.
"""

from __future__ import annotations

import importlib

from matplotlib.figure import Figure

from hpcli.commands import module_of
from hpcli.plots.batch_size import batch_size
from hpcli.plots.caption import say_at_corner, what_ran
from hpcli.plots.compare import compare
from hpcli.plots.evaluate import confusion
from hpcli.plots.interpolate import interpolation, interpolations, plane
from hpcli.plots.lr_find import lr_find
from hpcli.plots.sweep import curves, differences
from hpcli.plots.sweep_map import heat_map
from hpcli.plots.train import accuracy, batch, grad_norm, loss, schedule
from hpcli.results import Result

__all__ = [
    "accuracy",
    "batch",
    "batch_size",
    "compare",
    "confusion",
    "curves",
    "differences",
    "figures",
    "grad_norm",
    "heat_map",
    "interpolation",
    "interpolations",
    "loss",
    "lr_find",
    "plane",
    "schedule",
]


def figures(result: Result) -> dict[str, Figure]:
    """All pictures of a result, by the names that a run folder gives their files."""
    return captioned(result, importlib.import_module(f"hpcli.plots.{module_of(result)}").figures(result))


def passing(result: Result) -> tuple[str, ...]:
    """Names of the pictures that a result of this kind may have at one time and lack at a later one."""
    names: tuple[str, ...] = getattr(importlib.import_module(f"hpcli.plots.{module_of(result)}"), "PASSING", ())
    return names


def captioned(result: Result, drawn: dict[str, Figure]) -> dict[str, Figure]:
    """Pictures of a result, each with what ran in its corner."""
    if result.config is not None:
        for figure in drawn.values():
            say_at_corner(figure, what_ran(result.config, module_of(result)))
    return drawn
