"""The times that a sweep's trials have been judged, which share the chance of a false alarm."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hpcli.analysis.power import LEVEL
from hpcli.recording.rows import Row


@dataclass(frozen=True)
class SweepLook(Row, table="sweep_looks"):
    """A look at the trials: how many there were, and at which level they were judged."""

    plan: int  # from 1: which of the sweep's plans this look belongs to; a resumed sweep with more trials is the next
    values: int  # that are compared: none of their trials has failed
    seeds: int  # that all values have been trained with
    level: float


def level_of(plan: int) -> float:
    """The level of a sweep's j-th plan, LEVEL · 6 / (π² j²): all plans that ever follow come to LEVEL together."""
    return LEVEL * 6 / (math.pi * plan) ** 2


def looks_at(first: int, most: int, *, of: int) -> list[int]:
    """The seeds at each look of a plan that goes from `first` to `most` in so many looks."""
    return [int(seeds) for seeds in np.unique(np.linspace(first, most, of).round())]


def looks_of_plan(looks: Sequence[SweepLook], *, values: int, of: int) -> list[int]:
    """The seeds at each look of the last plan, if that compares so many values at so many looks; else none."""
    return [
        look.seeds
        for look in looks
        if look.plan == looks[-1].plan and look.values == values and math.isclose(look.level, level_of(look.plan) / of)
    ]


def next_look(looks: Sequence[SweepLook], *, plan: int, values: int, seeds: int, of: int = 1) -> SweepLook | None:
    """The look to be had now; None: at the same trials as the last one.

    Args:
        looks: so far.
        plan: the number of this plan.
        values: that are compared.
        seeds: of each.
        of: looks that this plan will have at most; they share its level.
    """
    if looks and (looks[-1].values, looks[-1].seeds) == (values, seeds):
        return None
    return SweepLook(plan, values, seeds, level_of(plan) / of)
