"""What a sweep leads to: the command that follows it, and what it would cost to tell more."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hpcli.analysis.noise import SeedsNeeded
from hpcli.config.keys import value_fault
from hpcli.config.momentum import parse_momentum
from hpcli.config.scaling import BATCH
from hpcli.config.space import MOMENTUM
from hpcli.config.varying import written
from hpcli.results.budgets import KEY
from hpcli.results.facts import time_text
from hpcli.results.following import FIND, RESUME, Following
from hpcli.results.horizon import longer
from hpcli.states import Judgement, RunStatus

if TYPE_CHECKING:
    from hpcli.results.sweep import SweepResult

MANY_SEEDS = 30
"""More are not advised."""


@dataclass(frozen=True)
class MoreSeeds:
    """Seeds of each value that would tell apart what is undecided."""

    needed: SeedsNeeded  # in all
    now: int
    seconds: float  # that one more of each value takes
    margin: float  # the difference that matters, in nats

    @property
    def least(self) -> int | None:
        """To go on to, at least; None: over 1,000."""
        return self.needed.beyond(self.now).low

    @property
    def is_advised(self) -> bool:
        """Whether so few are surely too few, and enough can be had."""
        return self.needed.low is not None and self.now < self.needed.low <= MANY_SEEDS


def more_seeds(result: SweepResult) -> MoreSeeds | None:
    """What it would cost to tell more; None: nothing is undecided, or it is not known."""
    found = result.verdict
    if found is None or found.seeds_for_matters is None or found.margin is None or result.choice is None:
        return None
    if all(each.verdict != Judgement.UNDECIDED for each in found.comparisons):
        return None
    seconds = float(result.seconds.mean(1).sum())
    return MoreSeeds(found.seeds_for_matters, len(result.seeds), seconds, found.margin)


def following(result: SweepResult) -> Following | None:
    """Looking for a learning rate where nothing has trained; training; or first three weight decays at full length.

    At full length where the sweep's own runs were shorter, see `longer`.
    """
    if result.status == RunStatus.DIVERGED:
        return FIND
    if result.status != RunStatus.FINISHED or result.choice is None:
        return None
    chosen, epochs = result.settings[result.choice.index], result.config.sweep.epochs
    ahead = longer(chosen, result.data, result.config.train.epochs) if result.keys == (KEY,) else None
    beyond = _beyond(result, result.choice.index) if result.choice.extend else []
    notes = []
    if ahead is not None and ahead.on_all_images is not None:
        notes.append(
            f"On all images theory carries the weight decay by the sum of learning rates, to {ahead.on_all_images:.2g} "
            "(arXiv 2405.13698); that was not tried."
        )
    if ahead is None or not ahead.brackets:
        length = f"{result.config.train.epochs} epochs; the sweep's runs had {epochs}"
        why = f"A training with the value to use, at full length and on the same images: {length}."
        return Following(
            ("train",), result.chosen, (*notes, *beyond), why, _seconds(result, result.config.train.epochs)
        )
    notes.append(
        f"It was found in cycles of {epochs} epoch{'s' * (epochs > 1)}, and train.epochs is {ahead.epochs}: on the "
        "same images a weight decay is copied as it is or, more surely, three are compared at full length."
    )
    listed = ",".join(written(float(f"{value:.2g}")) for value in ahead.brackets)
    words = ("sweep-wd", "--values", listed, "--epochs", str(ahead.epochs), "--seeds", "3", *_without(result))
    seconds = _seconds(result, 3 * len(ahead.brackets) * ahead.epochs)
    return Following(
        words, chosen.also, (*notes, *beyond), "The value to use and its neighbours, at full length.", seconds
    )


def _without(result: SweepResult) -> tuple[str, ...]:
    """Options that leave out what a repeated config says of this sweep: its points, its workers, its refinement."""
    own = result.config.sweep
    return (
        *(("--set", "sweep.points=null") if own.points else ()),
        *(("--set", "sweep.workers=null") if own.workers is not None else ()),
        *(("--no-refine",) if own.refine else ()),
    )


def _beyond(result: SweepResult, place: int) -> list[str]:
    """How the sweep goes on beyond the value at the edge; nothing where it is not known what lies there."""
    further, known = _further(result, place), written(result.settings[place].values[0])
    if further in (None, known):
        return []
    seconds = float(result.seconds[place].sum())
    takes = f", about {time_text(seconds)}" if math.isfinite(seconds) else ""
    return [
        f"The best may lie beyond {known}. First go on with the sweep there, in its folder: {RESUME} --values "
        f"{further}{takes}; then, with what is found:"
    ]


def _further(result: SweepResult, place: int) -> str | None:
    """What lies as far beyond a value at the edge as its neighbour before it, on the key's scale; None: not known."""
    (places, logarithmic), known = result.scale, result.settings[place].values[0]
    steps = [places[place] - each for each in places if each != places[place]] if places else []
    if not steps:
        return None
    step = min(steps, key=abs)
    if result.keys == (MOMENTUM,):
        momentum = parse_momentum(known)
        ends = [max(0.0, 1 - float(f"{(1 - end) * 10**-step:.2g}")) for end in (momentum.high, momentum.low)]
        return "-".join(dict.fromkeys(f"{end:.6g}" for end in ends))
    if not logarithmic or not isinstance(known, int | float) or known <= 0:
        return None
    further = round(known * 10**step) if isinstance(known, int) else float(f"{known * 10**step:.2g}")
    is_too_large = result.keys == (BATCH,) and further > result.data.num_train_images
    return None if is_too_large or value_fault(result.keys[0], further) is not None else written(further)


def _seconds(result: SweepResult, epochs: int) -> float | None:
    """What so many epochs with the chosen value would take, by what those of the sweep have taken; None: not known."""
    assert result.choice is not None
    place = result.choice.index
    taken = float(result.seconds[place].mean()) * epochs / result.settings[place].config.train.epochs
    return taken if math.isfinite(taken) else None
