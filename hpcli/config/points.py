"""A sweep by points: quasi-random settings between the values that keys are given, where a grid would be too large."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import JsonValue

from hpcli.config.keys import plain_value
from hpcli.config.schema import Config
from hpcli.config.space import DECAY, LR, MOMENTUM, Dimension, Scale
from hpcli.config.varying import LOG_FROM, written
from hpcli.errors import ConfigError

KEYS_OF_A_GRID = 2
"""More keys are swept by points."""
USUAL_POINTS = 16
"""Where nobody says how many: a power of two, by which a Sobol sequence is balanced. By simulation (docs/sweeps.md)
half of them tell less than half as much, and twice as many a quarter to three quarters more."""
SCALES = {
    Scale.LINEAR: "linear",
    Scale.LOG: "logarithmic",
    Scale.MEMORY: "logarithmic in 1 − m",
    Scale.CHOICE: "each about as often",
}
"""How points are spread along a key, in words."""


def num_points(config: Config) -> int:
    """How many points a sweep has; 0: it is a grid."""
    asked, keys = config.sweep.points, len(config.sweep.values)
    return (asked or USUAL_POINTS * (keys > KEYS_OF_A_GRID)) if keys else 0


def swept_space(config: Config) -> tuple[Dimension, ...]:
    """The keys of a sweep by points: numbers from the smallest to the largest that is given, all else a choice.

    Learning rates and weight decays are on a logarithmic scale, momenta on that of 1 − m, others as `tune` has them.

    Raises:
        ConfigError: a key with one value alone, a choice twice, or a zero on a logarithmic scale.
    """
    return tuple(_dimension(key, values) for key, values in config.sweep.values.items())


def ranges(config: Config) -> list[str]:
    """What the points of a sweep lie between, a line a key; none: it is a grid."""
    space = swept_space(config) if num_points(config) else ()
    return [f"{each.key}: {each.in_words()}, {SCALES[each.scale]}" for each in space]


def _dimension(key: str, values: Sequence[JsonValue]) -> Dimension:
    resolved = [plain_value(key, value) for value in values]
    numbers = [value for value in resolved if isinstance(value, int | float) and not isinstance(value, bool)]
    names = [written(value) for value in resolved]
    if len(set(names)) == 1:
        raise ConfigError(
            f"sweep.values.{key}: {names[0]} alone is no range; give another value, or set it for all runs: "
            f"--set {key}={names[0]}"
        )
    if len(numbers) == len(resolved):
        return _range(key, numbers)
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ConfigError(f"sweep.values.{key}: {twice} is there twice; leave one of them out")
    return Dimension(key, Scale.CHOICE, choices=tuple(resolved))


def _range(key: str, numbers: Sequence[float]) -> Dimension:
    low, high = float(min(numbers)), float(max(numbers))
    if key == MOMENTUM:
        return Dimension(key, Scale.MEMORY, low, high)
    is_log = key in (LR, DECAY)
    if is_log and low <= 0:
        raise ConfigError(
            f"sweep.values.{key}: {written(low)} lies on no logarithmic scale, and points do; give a small number "
            f"instead, such as {written(_below(numbers))}"
        )
    is_log |= low > 0 and high > LOG_FROM * low
    whole = all(isinstance(number, int) for number in numbers)
    return Dimension(key, Scale.LOG if is_log else Scale.LINEAR, low, high, whole=whole)


def _below(numbers: Sequence[float]) -> float:
    """A decade below the lowest that is above 0."""
    return float(f"{min(number for number in numbers if number > 0) / 10:.1g}")


def value_at(dimension: Dimension, place: float) -> JsonValue:
    """The value at a place, three significant digits, and within the range."""
    value = dimension.value(place)
    if dimension.choices or not isinstance(value, int | float):
        return value
    return type(value)(min(max(value, dimension.low), dimension.high))
