"""The next values of a weight decay to try: the exponents are halved (1803.09820, section 4.4)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from hpcli.analysis.verdict import Verdict


def refined(values: Sequence[float], found: Verdict) -> list[float]:
    """Values between those that may be the best and their neighbours, at one significant figure.

    Around 1e-4, between 1e-5 and 1e-3, these are 3e-5 and 3e-4. Whole numbers stay whole.

    Args:
        values: numbers, in the verdict's order.
        found: their comparison.

    Returns:
        None left to try where nothing can be told apart, or nothing lies between at one figure.
    """
    if all(each.candidate for each in found.comparisons):
        return []
    is_whole = all(isinstance(value, int) for value in values)
    compared = sorted(zip(values, found.comparisons, strict=True), key=lambda pair: pair[0])
    between = {
        round(math.sqrt(low * high)) if is_whole else float(f"{math.sqrt(low * high):.0e}")
        for (low, one), (high, other) in pairwise(compared)
        if low > 0 and (one.candidate or other.candidate)
    }
    return sorted(between - set(values))
