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


def is_still_growing(images_per_second: Sequence[float]) -> bool:
    """Whether the largest batch of several gained more than a twentieth over all smaller ones."""
    return len(images_per_second) > 1 and max(images_per_second[:-1]) < ENOUGH * images_per_second[-1]


def in_words(
    sizes: Sequence[int], images_per_second: Sequence[float], *, images: int | None = None, is_full: bool = False
) -> str:
    """Where throughput stops growing, and what to try where that lies outside of what was tried.

    Args:
        sizes: of the batches that fit, ascending, one at least.
        images_per_second: of each.
        images: to train on, which no batch can exceed; None: it is not known.
        is_full: a larger batch has been tried, and does not fit.
    """
    found = enough(sizes, images_per_second)
    rate = f"{images_per_second[sizes.index(found)]:,.0f} images/s"
    if len(sizes) == 1:
        return f"A batch of {found} trains {rate}."
    if is_still_growing(images_per_second):
        larger = [size for size in (2 * found, 4 * found) if images is None or size <= images]
        if is_full:
            return f"Throughput still grows at a batch of {found}, the largest that fits ({rate})."
        if found == images:
            return f"Throughput still grows at a batch of {found}, all training images ({rate})."
        if not larger:
            return f"Throughput still grows at a batch of {found} ({rate}), and there are {images:,} training images."
        advice = _try("larger", [found, *larger])
        return f"Throughput still grows at a batch of {found}, the largest tried ({rate}){advice}."
    if found == sizes[0]:
        smaller = [size for size in (found // 4, found // 2) if size]
        advice = _try("smaller", [*smaller, found]) if smaller else ""
        return f"Already at a batch of {found}, the smallest tried, a larger one gains nothing ({rate}){advice}."
    return f"Throughput stops growing at a batch of {found}, {rate}."


def _try(which: str, sizes: Sequence[int]) -> str:
    return f"; try {which} ones (--sizes {','.join(map(str, sizes))})"


def has_levelled_off(images_per_second: Sequence[float]) -> bool:
    """Whether the last two doublings of the batch together gained less than a twentieth."""
    if len(images_per_second) < 3:
        return False
    return max(images_per_second[-2:]) < images_per_second[-3] / ENOUGH
