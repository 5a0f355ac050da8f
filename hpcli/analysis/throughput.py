"""Where a larger batch stops making training faster."""

from __future__ import annotations

from collections.abc import Sequence

ENOUGH = 0.95


def enough(sizes: Sequence[int], images_per_second: Sequence[float]) -> int:
    """The smallest batch that trains at 95 % of the highest rate. A larger batch costs memory and updates.

    Args:
        sizes: of batches, ascending.
        images_per_second: of each.
    """
    highest = max(images_per_second)
    return next(size for size, rate in zip(sizes, images_per_second, strict=True) if rate >= ENOUGH * highest)


def has_levelled_off(images_per_second: Sequence[float]) -> bool:
    """Whether the last two doublings of the batch together gained less than a twentieth."""
    if len(images_per_second) < 3:
        return False
    return max(images_per_second[-2:]) < images_per_second[-3] / ENOUGH
