"""What a sweep leads to: the command that follows it, and what it would cost to tell more."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hpcli.config.varying import written
from hpcli.results.budgets import KEY
from hpcli.results.following import WHY_FIND, Following
from hpcli.results.horizon import longer
from hpcli.states import Judgement, RunStatus

if TYPE_CHECKING:
    from hpcli.results.sweep import SweepResult

MANY_SEEDS = 30
"""More are not advised."""


@dataclass(frozen=True)
class MoreSeeds:
    """Seeds that would tell apart what is undecided."""

    seeds: int  # of each value in all, at least
    seconds: float  # that the further runs take
    margin: float  # the difference that matters, in nats


def more_seeds(result: SweepResult) -> MoreSeeds | None:
    """What it would cost to tell more; None: nothing is undecided, or it would take very many."""
    found, now = result.verdict, len(result.seeds)
    if found is None or found.seeds_for_matters is None or found.margin is None or result.choice is None:
        return None
    needed = found.seeds_for_matters.low
    undecided = any(each.verdict == Judgement.UNDECIDED for each in found.comparisons)
    if not undecided or needed is None or not now < needed <= MANY_SEEDS:
        return None
    return MoreSeeds(needed, float(result.seconds.mean(1).sum()) * (needed - now), found.margin)


def following(result: SweepResult) -> Following | None:
    """Looking for a learning rate where nothing has trained; training; or first three weight decays at full length.

    At full length where the sweep's own runs were shorter, see `longer`.
    """
    if result.status == RunStatus.DIVERGED:
        return Following(("lr-find",), why=WHY_FIND)
    if result.status != RunStatus.FINISHED or result.choice is None:
        return None
    chosen, epochs = result.settings[result.choice.index], result.config.sweep.epochs
    ahead = longer(chosen, result.data, result.config.train.epochs) if result.keys == (KEY,) else None
    notes = []
    if ahead is not None and ahead.on_all_images is not None:
        notes.append(
            f"on all images theory carries the weight decay by the sum of learning rates, to {ahead.on_all_images:.2g} "
            "(2405.13698)"
        )
    if ahead is None or not ahead.brackets:
        length = f"{result.config.train.epochs} epochs; the sweep's runs had {epochs}"
        return Following(
            ("train",), result.chosen, tuple(notes), f"A training with the value to use, at full length: {length}."
        )
    notes.append(
        f"found in cycles of {epochs} epoch{'s' * (epochs > 1)}, train takes {ahead.epochs}: on the same images a "
        "weight decay is copied as it is, or three are compared at full length"
    )
    listed = ",".join(written(float(f"{value:.2g}")) for value in ahead.brackets)
    words = ("sweep-wd", "--values", listed, "--epochs", str(ahead.epochs), "--seeds", "3")
    return Following(words, chosen.also, tuple(notes))
