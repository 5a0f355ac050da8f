"""What `tune` searches: a range or a choice of values for each key, and where a value lies in it, from 0 to 1."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Literal, cast

from pydantic import JsonValue

from hpcli.config.controls import check_tuned
from hpcli.config.keys import plain_value, read_text, value_fault
from hpcli.config.loading import with_overrides
from hpcli.config.momentum import Momentum, parse_momentum
from hpcli.config.optimizers import scale_of
from hpcli.config.schema import Config
from hpcli.config.varying import JOINED, LOG_FROM, Setting, own_values, value_of, written
from hpcli.errors import ConfigError

LR, MOMENTUM, DECAY = "schedule.max_lr", "schedule.momentum", "optimizer.weight_decay"
RATES = {"adamw": (1e-4, 1e-1), "sgd": (3e-3, 3.0), "lion": (1e-5, 1e-2)}
"""Learning rates where nothing else is known: a range test narrows them."""
MOMENTA = (0.5, 0.99)
DECAYS = {
    ("adamw", "decoupled"): (1e-4, 10.0),
    ("adamw", "coupled"): (1e-5, 1e-1),
    ("lion", "decoupled"): (1e-3, 100.0),
    ("sgd", "decoupled"): (1e-4, 1.0),
    ("sgd", "coupled"): (1e-5, 1e-1),
}
MANY = 12
"""So many whole numbers are judged by parts of their range, fewer each by itself."""
DIGITS = 3
"""Significant digits of a value: more would be noise."""


class Scale(StrEnum):
    """How places and values go together."""

    LINEAR = "linear"
    LOG = "log"
    MEMORY = "memory"
    """Logarithm of 1 − momentum."""
    CHOICE = "choice"
    """Values without order."""


@dataclass(frozen=True)
class Dimension:
    """One key that is searched."""

    key: str
    scale: Scale
    low: float = 0.0  # of momentum: its lowest
    high: float = 1.0
    choices: tuple[JsonValue, ...] = ()
    whole: bool = False  # integers
    breaks: bool = False  # whether training is known to break at the upper end
    ratio: float = 1.0  # of a momentum pair: (1 − low) / (1 − high), which the search keeps

    @property
    def decades(self) -> float | None:
        """Powers of ten from end to end; None: the scale is not logarithmic."""
        if self.scale == Scale.MEMORY:
            return math.log10((1 - self.low) / (1 - self.high))
        return math.log10(self.high / self.low) if self.scale == Scale.LOG else None

    def value(self, place: float) -> JsonValue:
        """The value at a place, to three significant digits of it, or of the range where that is finer."""
        if self.scale == Scale.CHOICE:
            return self.choices[int(place)]
        if self.scale == Scale.MEMORY:
            memory = (1 - self.low) * ((1 - self.high) / (1 - self.low)) ** place
            return self._momentum(memory)
        if self.scale == Scale.LOG:
            found = self.low * (self.high / self.low) ** place
            return round(found) if self.whole else float(f"{found:.{DIGITS}g}")
        found = self.low + (self.high - self.low) * place
        if self.whole:
            return round(found)
        finest = min(self.high - self.low, abs(found) or math.inf)  # between .99 and .999 three digits are too few
        return min(max(round(found, DIGITS - math.ceil(math.log10(finest))), self.low), self.high)

    def read(self, text: str) -> JsonValue:
        """The value that `written` has made this of."""
        known = {written(choice): choice for choice in self.choices}
        return known[text] if text in known else cast(JsonValue, read_text(self.key, text))

    def place(self, value: JsonValue) -> float:
        """Where a value lies; below 0 or above 1: outside the range.

        Raises:
            ConfigError: a choice that is not among them.
        """
        if self.scale == Scale.CHOICE:
            if value not in self.choices:
                raise ConfigError(
                    f"tune.values.{self.key}: the config's own {written(value)} is not among them; add it"
                )
            return float(self.choices.index(value))
        if self.scale == Scale.MEMORY:
            memory = self._memory(parse_momentum(value))
            return math.log((1 - self.low) / memory) / math.log((1 - self.low) / (1 - self.high))
        number = float(value)  # type: ignore[arg-type]
        if self.scale == Scale.LOG:  # nothing lies a decade below the lowest
            number = number if number > 0 else self.low / 10
            return math.log(number / self.low) / math.log(self.high / self.low)
        return (number - self.low) / (self.high - self.low)

    def _momentum(self, memory: float) -> JsonValue:
        if self.ratio == 1:
            return float(f"{1 - float(f'{memory:.{DIGITS}g}'):.6f}")
        high, low = (
            float(f"{each:.{DIGITS}g}") for each in (memory / math.sqrt(self.ratio), memory * math.sqrt(self.ratio))
        )
        return str(Momentum(round(1 - high, 6), max(round(1 - low, 6), 0.0)))

    def _memory(self, momentum: Momentum) -> float:
        """1 − m, of a pair the geometric mean."""
        return math.sqrt((1 - momentum.high) * (1 - momentum.low))

    def in_words(self, start: float = 0.0, end: float = 1.0) -> str:
        """The range, or a part of it, from end to end; or all choices."""
        if self.scale == Scale.CHOICE:
            return ", ".join(map(written, self.choices))
        return " to ".join(dict.fromkeys(written(self.value(place)) for place in (start, end)))

    @property
    def parts(self) -> tuple[tuple[float, float], ...]:
        """Where each of a few whole numbers lies, from place to place; empty: they are many, or no whole numbers."""
        if not self.whole or self.high - self.low >= MANY:
            return ()
        numbers = range(int(self.low), int(self.high) + 1)
        return tuple((max(self.place(each - 0.49), 0.0), min(self.place(each + 0.49), 1.0)) for each in numbers)

    def is_limit(self, end: Literal["lower", "upper"]) -> bool:
        """Whether nothing is to be looked for beyond this end of its range: the key takes none, or training breaks."""
        if self.breaks and end == "upper":
            return True
        if self.scale == Scale.MEMORY:
            return end == "lower" and self.low <= 0
        number = self.high if end == "upper" else self.low
        beyond = number + (1 if end == "upper" else -1) * (1 if self.whole else (self.high - self.low) / 10)
        if self.scale == Scale.LOG and beyond <= 0:
            beyond = number / 2
        return value_fault(self.key, round(beyond) if self.whole else beyond) is not None

    def within(self, low: float, high: float, *, breaks: bool = False) -> Dimension:
        """The same key in another range; breaks: training is known to break at its upper end."""
        return replace(self, low=low, high=high, breaks=breaks)


def space(config: Config) -> tuple[Dimension, ...]:
    """The keys that a config has searched: max_lr, momentum and weight decay, and those of `tune.values`.

    Raises:
        ConfigError: a key or a value that the config does not take, or a config's own value that is no choice.
    """
    check_tuned(config.optimizer.name)
    asked = dict(config.tune.values)
    scale = scale_of(config.optimizer.name)
    own = {LR: RATES[scale], MOMENTUM: MOMENTA, DECAY: DECAYS[scale, config.optimizer.decay]}
    for key, ends in own.items():
        asked.setdefault(key, list(ends))
    ordered = [*own, *(key for key in asked if key not in own)]
    found = [_dimension(config, key, asked[key]) for key in ordered if len(asked[key]) > 1]
    if not found:
        raise ConfigError("tune.values: nothing is left to search; give a key two ends of a range, or choices")
    return tuple(found)


def pinned(config: Config) -> Config:
    """The config with every key that `tune.values` gives a single value."""
    return with_overrides(config, {key: values[0] for key, values in config.tune.values.items() if len(values) == 1})


def _dimension(config: Config, key: str, values: Sequence[JsonValue]) -> Dimension:
    if key == MOMENTUM:
        ends = [parse_momentum(value) for value in values]
        if len(ends) == 2 and not any(end.cyclic for end in ends) and ends[0] != ends[1]:
            return _of_momentum(config.schedule.momentum, *sorted(end.high for end in ends))
    resolved = [plain_value(key, value) for value in values]
    numbers = [value for value in resolved if isinstance(value, int | float) and not isinstance(value, bool)]
    if len(resolved) == len(numbers) == 2 and numbers[0] != numbers[1]:
        low, high = sorted(map(float, numbers))
        _check_number(_own(config, key), key, numbers[0])
        scale = Scale.LOG if low > 0 and high > LOG_FROM * low else Scale.LINEAR
        return Dimension(key, scale, low, high, whole=all(isinstance(number, int) for number in numbers))
    names = [written(value) for value in resolved]
    twice = next((name for name in names if names.count(name) > 1), None)
    joined = next((name for name in names if JOINED in name), None)
    if joined is not None:
        raise ConfigError(f"tune.values.{key}: {joined} has{JOINED}in it, which tables put between values")
    if twice is not None:
        raise ConfigError(f"tune.values.{key}: {twice} is there twice; leave one of them out")
    found = Dimension(key, Scale.CHOICE, choices=tuple(resolved))
    found.place(_own(config, key))
    return found


def _own(config: Config, key: str) -> JsonValue:
    """A config's own value; null: it sets none."""
    found = own_values(config, [key])
    return None if found is None else found[0]


def _check_number(own: JsonValue, key: str, example: JsonValue) -> None:
    """A config's own value lies somewhere on a range: it has to be a number."""
    if own is None or isinstance(own, str | bool):
        raise ConfigError(
            f"tune.values.{key}: the config's own is {written(own)}, which lies on no range; set a number to start "
            f"from: --set {key}={written(example)}"
        )


def _of_momentum(present: Momentum, low: float, high: float) -> Dimension:
    """A range of momentum; a present pair keeps its ratio, so that its lower momentum would leave [0, 1) below `least`.

    Raises:
        ConfigError: all of the range lies there.
    """
    ratio = (1 - present.low) / (1 - present.high)
    least = 1 - 0.999 / math.sqrt(ratio) if present.cyclic else 0.0
    if high <= least:
        raise ConfigError(
            f"tune.values.{MOMENTUM}: a pair in the ratio of {present} cannot have its middle below "
            f"{least:.{DIGITS}g}; give a higher range, or set schedule.momentum to one number"
        )
    return Dimension(MOMENTUM, Scale.MEMORY, max(low, least), high, ratio=ratio if present.cyclic else 1.0)


def setting_at(config: Config, epochs: int, values: Mapping[str, JsonValue]) -> Setting:
    """The setting of these values: a complete short run of so many epochs.

    Raises:
        ConfigError: values that do not go together with the rest of the config.
    """
    base = {"train.epochs": epochs, "train.checkpoint_epochs": [], "sweep.retune": {}}
    base |= {f"{section}.values": {} for section in ("sweep", "lr_find", "tune")}
    own = with_overrides(config, {**base, **values})
    resolved = tuple(value_of(own, key) for key in values)
    return Setting(JOINED.join(written(value) for value in resolved), resolved, own)
