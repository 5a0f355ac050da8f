"""What can be varied: names of its own for a config key, the values, and the trial that each of them is."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from hpcli.config import Config, Momentum, parse_momentum, to_dict, with_overrides
from hpcli.errors import CheckpointError, UsageError
from hpcli.experiments.store import Row

VARIED = {"weight_decay": "optimizer.weight_decay", "momentum": "schedule.momentum"}
SWEEPS = {"sweep-mom": "schedule.momentum", "sweep-wd": "optimizer.weight_decay"}
"""Sweeps with a name of their own, and their key."""
NOT_SWEPT = ("seed", "sweep", "lr_find", "interpolate")
"""Keys that change no trial, or every one."""
AUTO_SECONDS = 300.0
AUTO_SEEDS = (3, 5)
"""`sweep.seeds: auto`: the second where that is forecast to take less than AUTO_SECONDS, else the first."""
WIDE = 8.0
"""Numbers that span more than this factor have a logarithmic scale."""


@dataclass(frozen=True)
class Setting:
    """A value of one key, or one of each of two."""

    name: str
    values: tuple[Any, ...]  # as the config has them
    config: Config

    def trial(self, seed: int) -> tuple[str, Config]:
        """The config of this setting's run with a seed, and its key: the same config has the same key, always."""
        config = with_overrides(self.config, {"seed": seed})
        contents = {name: part for name, part in to_dict(config).items() if name not in NOT_SWEPT[1:]}
        digest = hashlib.sha256(json.dumps(contents, sort_keys=True).encode()).hexdigest()
        readable = re.sub(r"[^\w.+-]+", "_", self.name)[:40]
        return f"{readable}-seed-{seed}-{digest[:10]}", config


def settings(config: Config, vary: Mapping[str, Sequence[object]]) -> tuple[tuple[str, ...], list[Setting]]:
    """The keys that are swept, and every setting of them: all values of one key, all pairs of two.

    Raises:
        UsageError: no values, the same value twice, a key that makes no sweep.
        ConfigError: a key or a value that the config does not take.
    """
    keys = tuple(VARIED.get(name, name) for name in vary)
    if not 1 <= len(keys) <= 2:
        raise UsageError(f"{len(keys)} keys to sweep: choose one, or two for a map")
    for key in keys:
        if key.split(".")[0] in NOT_SWEPT:
            raise UsageError(f"{key}: cannot be swept, it does not change what a run is; --set sets it for all")
    base = {"train.epochs": config.sweep.epochs, "train.checkpoint_epochs": [], "sweep.seeds": "auto"}
    found: dict[str, Setting] = {}
    for values in product(*vary.values()):
        own = with_overrides(config, {**base, **dict(zip(keys, values, strict=True))})
        resolved = tuple(value_of(own, key) for key in keys)
        name = " & ".join(written(value) for value in resolved)
        if name in found:
            raise UsageError(f"--values: {name} is there twice; leave one of them out")
        found[name] = Setting(name, resolved, own)
    if not found:
        raise UsageError("--values: none given; for example --values 1e-5,1e-4,1e-3")
    return keys, list(found.values())


def value_of(config: Config, key: str) -> Any:
    """The value of a dotted key, as plain data."""
    node: Any = to_dict(config)
    for name in key.split("."):
        node = node[name]
    return node


def written(value: Any) -> str:
    """A value as a person writes it, the same however it was given: 1e-4, 0.95-0.85, resnet20."""
    if isinstance(value, float) or (isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 10**6):
        plain = f"{value:.10g}"
        mantissa, _, exponent = f"{value:.9e}".partition("e")
        short = f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}"
        return short if value and len(short) < len(plain) else plain
    return value if isinstance(value, str) else json.dumps(value)


def split_values(text: str) -> list[str]:
    """A list as the command line has it, divided at its commas, but not at those within brackets.

    Raises:
        UsageError: an empty value.
    """
    values = [value.strip() for value in re.split(r",(?![^\[{]*[\]}])", text)]
    if not all(values):
        raise UsageError(f"--values {text}: an empty value; write for example 1e-5,1e-4,1e-3")
    return values


def extended(config: Config, vary: Mapping[str, Sequence[object]], rows: Sequence[Row]) -> dict[str, list[object]]:
    """The keys and values of a sweep that is gone on with: those of its table, and those that are new.

    Raises:
        CheckpointError: the sweep is of another key.
    """
    keys = str(rows[0]["parameter"]).split(" & ") if rows else [VARIED.get(name, name) for name in vary]
    asked = {VARIED.get(name, name): values for name, values in vary.items()}
    if asked and list(asked) != keys:
        raise CheckpointError(f"the sweep is of {' & '.join(keys)}, not of {' & '.join(asked)}; start a new one")
    found: dict[str, list[object]] = {}
    for place, key in enumerate(keys):
        new = {setting.name: setting.values[0] for setting in settings(config, {key: asked[key]})[1]} if asked else {}
        before = [row["value"] if len(keys) == 1 else str(row["value"]).split(" & ")[place] for row in rows]
        old = {written(value): value for value in before}
        found[key] = list((old | new).values())
    return found


def positions(key: str, values: Sequence[Any]) -> tuple[list[float] | None, bool]:
    """Where values lie on their own scale, and whether that is logarithmic; None: they have no order.

    A momentum lies at its effective memory, 1 / (1 − m), the middle of a pair; a zero lies a decade below the lowest.
    """
    if key == "schedule.momentum":
        middles = [_middle(parse_momentum(value)) for value in values]
        return [-math.log10(1 - middle) for middle in middles], False
    if not all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        return None, False
    above = [value for value in values if value > 0]
    if above and min(values) >= 0 and max(above) > WIDE * min(above):
        lowest = math.log10(min(above)) - 1
        return [math.log10(value) if value > 0 else lowest for value in values], True
    return [float(value) for value in values], False


def _middle(momentum: Momentum) -> float:
    return (momentum.high + momentum.low) / 2
