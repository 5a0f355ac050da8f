"""The value of a sweep to use, and the sweep's finding in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hpcli.analysis.verdict import Comparison, Verdict
from hpcli.states import Judgement, Reason

CHEAPER = 0.9
"""A value is cheaper where its runs take less than this share of the next one's time: clocks are noisy."""


@dataclass(frozen=True)
class Choice:
    """The value to use. It is not always the value with the lowest mean."""

    index: int  # of the value
    reason: Reason
    extend: bool = False  # the best lies at the edge of what was tried, or may lie beyond

    @property
    def words(self) -> str:
        """The reason, after the value's name."""
        beyond = "; it lies at the edge of what was tried: extend the grid" if self.extend else ""
        return f"{_WORDS[self.reason]}{beyond}"


_WORDS = {
    Reason.BEST: "the best",
    Reason.KEPT: "kept",
    Reason.CHEAPEST: "the cheapest of those that may be the best",
    Reason.LOWEST: "the lowest of those that may be the best",
    Reason.MIDDLE: "in the middle of those that may be the best",
}
_JOINED = {Reason.BEST: " is ", Reason.KEPT: " "}
"""Between the value and the words, where it is not a comma."""


def choose(
    found: Verdict,
    *,
    positions: Sequence[float] | None,
    present: int | None = None,
    seconds: Sequence[float] | None = None,
) -> Choice | None:
    """The config's present value if it may be the best; else the cheapest that may; else the middle of those that may.

    Args:
        found: of the values, in their order.
        positions: of each value on its own scale, such as log10 of a weight decay; None: values without an order.
        present: index of the value that the config has; None: it was not among them.
        seconds: of a run of each value, where values differ in cost.

    Returns:
        None where no value is left to choose from.
    """
    candidates = [index for index, each in enumerate(found.comparisons) if each.candidate]
    if not candidates:
        return None
    edges = _edges(positions)
    lone_edge = bool(edges) and all(index in edges for index in candidates)
    if len(candidates) == 1:
        return Choice(candidates[0], Reason.BEST, lone_edge)
    if present in candidates:
        return Choice(present, Reason.KEPT, lone_edge)
    cheapest = _cheapest(candidates, seconds)
    if cheapest is not None:
        return Choice(cheapest, Reason.CHEAPEST)
    if positions is None:
        lowest = min(candidates, key=lambda index: found.comparisons[index].mean or 0.0)
        return Choice(lowest, Reason.LOWEST)
    inside = [index for index in candidates if index not in edges] or candidates
    places = np.array([positions[index] for index in candidates])
    middle = (places.min() + places.max()) / 2
    near = min(inside, key=lambda index: (round(abs(positions[index] - middle), 9), found.comparisons[index].mean))
    return Choice(near, Reason.MIDDLE, lone_edge)


def _edges(positions: Sequence[float] | None) -> set[int]:
    """The lowest and the highest value, where there are values between them."""
    if positions is None or len(positions) < 3:
        return set()
    return {int(np.argmin(positions)), int(np.argmax(positions))}


def _cheapest(candidates: Sequence[int], seconds: Sequence[float] | None) -> int | None:
    if seconds is None:
        return None
    first, second = sorted(candidates, key=lambda index: seconds[index])[:2]
    return first if seconds[first] < CHEAPER * seconds[second] else None


def in_words(found: Verdict, choice: Choice | None, *, epochs: int, num_seeds: int, matters: float) -> str:
    """One sentence: the value to use, the values that tie, the worse ones with their gap, and the cost of knowing more.

    Args:
        found: compared values, each with its name.
        choice: from them; None: none is left.
        epochs: of a run.
        num_seeds: of each value.
        matters: the difference worth knowing, in the loss's unit.
    """
    horizon = f"For {epochs}-epoch cycles"
    if choice is None:
        return f"{horizon}: no value trained; lower the learning rate (hpcli lr-find shows how far it can go)."
    chosen = found.comparisons[choice.index]
    tied = [str(each.value) for each in found.comparisons if each.candidate]
    says = f"{chosen.value}{_JOINED.get(choice.reason, ', ')}{choice.words}"
    tie = f": {_listed(tied)} could not be told apart{_sight(found)}" if len(tied) > 1 else ""
    parts = [f"{horizon}: {says}{tie}."]
    parts += [_against_the_best(each) for each in found.comparisons if not each.candidate]
    if len(tied) > 1 and found.noise_sd is None:
        parts.append("One seed cannot tell: use --seeds 3 or more.")
    elif len(tied) > 1 and (found.seeds_for_matters is None or found.seeds_for_matters > num_seeds):
        parts.append(f"To find a difference of {matters:.1g}: {found.seeds_for_matters or 'over 1,000'} seeds.")
    return " ".join(parts)


def _listed(names: list[str]) -> str:
    return f"{', '.join(names[:-1])} and {names[-1]}"


def _sight(found: Verdict) -> str:
    if found.resolution is None:
        return ""
    shared = found.seed_correlation
    share = f"; seeds share {shared:.0%} of their noise" if shared is not None and shared > 0 else ""
    return f" (a difference of {found.resolution:.2g} is found four times of five{share.replace('%', ' %')})"


def _against_the_best(each: Comparison) -> str:
    if each.difference is None:
        return (
            f"{each.value} diverged." if each.verdict == Judgement.DIVERGED else f"{each.value} has runs that failed."
        )
    if each.verdict == Judgement.WORSE:
        interval = "" if each.low is None else f" [{each.low:.2g}, {each.high:.2g}]"
        return f"{each.value} is worse by {each.difference:.2g}{interval}."
    if each.verdict == Judgement.UNSTABLE:
        return f"{each.value} is unstable ({each.difference:+.2g} on average)."
    return f"{each.value} is hardly the best ({each.difference:+.2g})."
