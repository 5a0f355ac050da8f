"""The next values of a weight decay to try: halve the exponents around the best (1803.09820, section 4.4)."""

from __future__ import annotations

import math
from collections.abc import Sequence

from hpcli.analysis.verdict import Verdict


def refined(values: Sequence[float], found: Verdict) -> list[float]:
    """Values between the best and its neighbours, at one significant figure: around 1e-4, 3e-5 and 3e-4.

    Args:
        values: numbers, in the verdict's order.
        found: their comparison.

    Returns:
        None left to try where the best's neighbours may be the best too, or nothing lies between at one figure.
    """
    compared = sorted(zip(values, found.comparisons, strict=True), key=lambda pair: pair[0])
    best = next((place for place, (_, each) in enumerate(compared) if each.verdict == "best"), None)
    if best is None:
        return []
    around = [compared[place] for place in (best - 1, best + 1) if 0 <= place < len(compared)]
    if all(each.candidate for _, each in around):
        return []
    own = compared[best][0]
    between = {float(f"{math.sqrt(own * value):.0e}") for value, _ in around if own > 0 and value > 0}
    return sorted(between - set(values))
