"""The finding of a sweep in words, and what has to be known of the runs that it comes from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hpcli.analysis.finding import in_words
from hpcli.analysis.verdict import Verdict
from hpcli.config.scaling import rule as scaling_rule
from hpcli.config.varying import JOINED
from hpcli.results import retune
from hpcli.results.budgets import too_alike
from hpcli.results.horizon import horizon
from hpcli.results.key_words import at_ends, open_ends, per_cent
from hpcli.results.searched import Fitted
from hpcli.results.trials import said_of_short

if TYPE_CHECKING:
    from hpcli.results.sweep import SweepResult

NAMED = 3
"""So many points are named of those that are judged alike; the table has all."""


def sentence(result: SweepResult, found: Verdict) -> str:
    """The finding in words."""
    chosen_name = "" if result.choice is None else result.settings[result.choice.index].name
    says = in_words(
        found,
        result.choice,
        horizon=horizon(result.settings, result.data),
        num_seeds=int(result.complete.sum()),
        parameter=JOINED.join(result.keys),
        chance=result.data.chance_loss(),
        too_alike=too_alike(result.keys, result.budgets, result.config.sweep.epochs, chosen_name),
        most=None if result.fitted is None else NAMED,
    )
    parts, scaled = [says], scaling_rule(result.config, result.keys)
    if result.fitted is not None:
        parts += _of_surface(result.fitted, chosen_name)
    if result.tuning:
        parts.append(retune.in_words(result.config, retune.retuned(result.config, result.settings, result.tuning)))
    elif scaled:
        parts.append(f"So that they are compared alike, {scaled} (--no-scale-lr: one learning rate).")
    if result.fresh is not None and result.choice is not None:
        chosen = found.comparisons[result.choice.index]
        parts.append(result.fresh.in_words(str(chosen.value), chosen.mean or 0.0))
    return " ".join(parts) + said_of_short(result.trials)


def _of_surface(fitted: Fitted, chosen: str) -> list[str]:
    """What the surface through all runs says of the chosen point, and how far runs lie from the surface."""
    searched = fitted.searched
    if not fitted.profiles or searched.surface is None or searched.winner is None:
        return []
    lowest, noise = searched.over[searched.winner].value, per_cent(searched.surface.noise)
    where = "there, too" if lowest == chosen else f"at {lowest}"
    return [
        f"The surface through all {len(searched.over)} runs is lowest {where}; a run lies about {noise} % off it.",
        *(f"{each}: better may lie beyond, in a sweep of a wider range." for each in at_ends(fitted)),
        *open_ends(fitted),
    ]
