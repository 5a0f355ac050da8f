"""The value of a sweep to use."""

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
    extend: bool = False  # it lies at the edge of what was tried: the best may lie beyond
    is_lowest: bool = False  # its mean is the lowest, whatever the reason

    @property
    def words(self) -> str:
        """The reason, after the value's name."""
        beyond = "; it lies at the edge of what was tried: extend the grid" if self.extend else ""
        return f"{(_OF_LOWEST if self.is_lowest else _WORDS)[self.reason]}{beyond}"


_WORDS = {
    Reason.BEST: "the best",
    Reason.ONLY: "the only value tried",
    Reason.KEPT: "which you have now: the difference from the lowest mean does not matter",
    Reason.CHEAPEST: "the cheapest: the difference from the lowest mean does not matter",
    Reason.LOWEST: "the lowest mean",
}
_OF_LOWEST = _WORDS | {
    Reason.KEPT: "which you have now and which has the lowest mean",
    Reason.CHEAPEST: "the cheapest, with the lowest mean",
}


def choose(
    found: Verdict,
    *,
    positions: Sequence[float] | None,
    present: int | None = None,
    seconds: Sequence[float] | None = None,
) -> Choice | None:
    """The lowest mean, unless a value that is not worse by more than what matters costs less: no change, or less time.

    Undecided is no tie: an undecided value may be far worse, and what is measured so far says that it is. Only a value
    that is equal, or whose mean is within `matters` of the lowest, is taken for as good.

    Args:
        found: of the values, in their order.
        positions: of each value on its own scale, such as log10 of a weight decay; None: values without an order.
        present: index of the value that is in use now; None: it was not among them.
        seconds: of a run of each value, where values differ in cost.

    Returns:
        None where no value is left to choose from.
    """
    eligible = found.eligible
    if not eligible:
        return None
    best = next(index for index in eligible if found.comparisons[index].verdict == Judgement.BEST)
    good = [index for index in eligible if _is_as_good(found.comparisons[index], found.margin or 0.0)]
    edges = _edges(positions)
    if len(found.comparisons) == 1:
        return Choice(best, Reason.ONLY)
    if len(eligible) == 1:
        return Choice(best, Reason.BEST, best in edges)
    if present in good:
        return Choice(present, Reason.KEPT, present in edges and best in edges, present == best)
    cheapest = _cheapest(good, seconds)
    if cheapest is not None:
        return Choice(cheapest, Reason.CHEAPEST, cheapest in edges and best in edges, cheapest == best)
    return Choice(best, Reason.LOWEST, best in edges)


def _is_as_good(each: Comparison, margin: float) -> bool:
    small = each.difference is not None and each.difference <= margin
    return small or each.verdict == Judgement.EQUAL


def _edges(positions: Sequence[float] | None) -> set[int]:
    """The lowest and the highest value, where there are values between them."""
    if positions is None or len(positions) < 3:
        return set()
    return {int(np.argmin(positions)), int(np.argmax(positions))}


def _cheapest(good: Sequence[int], seconds: Sequence[float] | None) -> int | None:
    if seconds is None or len(good) < 2:
        return None
    first, second = sorted(good, key=lambda index: seconds[index])[:2]
    return first if seconds[first] < CHEAPER * seconds[second] else None
