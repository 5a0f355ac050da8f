"""The times that a sweep's trials have been judged, which share the chance of a false alarm."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

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
