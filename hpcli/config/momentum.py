"""A momentum as written in a config: a pair `0.95-0.85` that mirrors the learning rate, or one constant number."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

_PAIR = re.compile(r"\s*([0-9.]+(?:e-?[0-9]+)?)\s*-\s*([0-9.]+(?:e-?[0-9]+)?)\s*", re.IGNORECASE)


class Momentum(NamedTuple):
    """SGD's momentum, or AdamW's β1: from `high`, at a low learning rate, to `low`, at the highest, and back."""

    high: float
    low: float

    @property
    def cyclic(self) -> bool:
        """Whether the momentum changes during a run."""
        return self.high != self.low

    def __str__(self) -> str:
        return f"{self.high}-{self.low}" if self.cyclic else f"{self.high}"


def parse_momentum(value: Any) -> Momentum:
    """Read `0.95-0.85`, `0.9`, or a number.

    Raises:
        ValueError: not a momentum, out of [0, 1), or the pair the wrong way round.
    """
    if isinstance(value, Momentum):
        return value
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError("must be a pair such as 0.95-0.85, or one number such as 0.9")
    if isinstance(value, str):
        match = _PAIR.fullmatch(value)
        parts = match.groups() if match else (value,)
    else:
        parts = (str(value),)
    try:
        numbers = [float(part) for part in parts]
    except ValueError:
        raise ValueError("must be a pair such as 0.95-0.85, or one number such as 0.9") from None
    if not all(0 <= number < 1 for number in numbers):
        raise ValueError("a momentum must be at least 0 and below 1")
    high, low = numbers[0], numbers[-1]
    if high < low:
        raise ValueError(
            f"the higher momentum comes first, since it mirrors the learning rate: write {parts[1]}-{parts[0]}"
        )
    return Momentum(high, low)
