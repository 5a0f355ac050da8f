"""How the places on a line between two checkpoints are written: `-0.5:1.5:41`, or a list."""

from __future__ import annotations

import math
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator

MOST = 10_000
BN_IMAGES = 5000
"""BatchNorm's statistics between checkpoints are measured anew on so many training images, always the same."""
_HELP = "must be low:high:count such as -0.5:1.5:41, or a list such as 0,0.5,1"


def parse_alphas(text: str) -> tuple[float, ...]:
    """Read `-0.5:1.5:41` (41 equally spaced values, both ends included) or `-10,-5,0,1`; α = 0 is A, α = 1 is B.

    Returns:
        The values in ascending order, each once; 0, 0.5 and 1 are always among them, as the barrier is measured there.

    Raises:
        ValueError: neither form, not finite, the range the wrong way round, or too many.
    """
    values = _range(text) if ":" in text else [_number(part) for part in text.split(",")]
    # A range's steps are rounded so that 0 and 1 are met exactly where they are meant.
    return tuple(sorted({round(value, 12) + 0.0 for value in (*values, 0.0, 0.5, 1.0)}))


def _alphas_text(value: Any) -> Any:
    """A YAML list or a lone number, in the written form."""
    if isinstance(value, list):
        return ",".join(str(each) for each in value)
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


def _checked_alphas(text: str) -> str:
    """The text itself, once it has been found to parse."""
    parse_alphas(text)
    return text


def _range(text: str) -> list[float]:
    parts = text.split(":")
    if len(parts) != 3 or not parts[2].strip().isdecimal():
        raise ValueError(_HELP)
    low, high, count = _number(parts[0]), _number(parts[1]), int(parts[2])
    if not 2 <= count <= MOST:
        raise ValueError(f"the count, {count}, must be from 2 to {MOST:,}")
    if low >= high:
        raise ValueError(f"{low:g} must be below {high:g}")
    return [low + (high - low) * index / (count - 1) for index in range(count)]


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise ValueError(_HELP) from None
    if not math.isfinite(value) or abs(value) > 1e6:
        raise ValueError(f"{text.strip()}: an alpha is a number from -1e6 to 1e6")
    return value


Alphas = Annotated[str, BeforeValidator(_alphas_text), AfterValidator(_checked_alphas)]
