"""What is varied: keys and their values, the settings that they make up, and the identity of a setting's run.

A *setting* is a value of one key, or one value of each of several.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import product

from pydantic import JsonValue

from hpcli.config.keys import full_key, scope_of, value_fault
from hpcli.config.loading import to_dict, with_overrides
from hpcli.config.momentum import Momentum, parse_momentum
from hpcli.config.scaling import scaled
from hpcli.config.schema import Config
from hpcli.config.scope import Scope
from hpcli.config.section import Section
from hpcli.config.strict_yaml import Tree
from hpcli.errors import ConfigError, UsageError

JOINED = " & "
"""Stands between the names of two keys, and of their values."""
LATER: Tree = {"train.mixup": 0.0, "train.cutmix": 0.0}
"""Keys that came after folders of format 2, and their defaults, which are left out of a run's identity: a sweep that an
older hpcli began goes on with its trials."""
LOG_FROM = 8.0
"""Numbers that span more than this factor have a logarithmic scale."""


@dataclass(frozen=True)
class Setting:
    """A value of one key, or one of each of several."""

    name: str
    values: tuple[JsonValue, ...]  # as the config has them
    config: Config  # of its runs, but for the seed
    also: Mapping[str, JsonValue] = field(default_factory=dict)  # keys that go with the values: their own learning rate

    def run(self, seed: int) -> Config:
        """The config of this setting's run with a seed.

        Raises:
            ConfigError: a seed that is too large.
        """
        if value_fault("seed", seed) is not None:
            return with_overrides(self.config, {"seed": seed})  # which says why not
        return self.config.model_copy(update={"seed": seed})  # nothing else depends on it: nothing to check

    def identity(self, seed: int) -> str:
        """The identity of this setting's run with a seed; see the function of that name."""
        return _identity({**self._contents, "seed": seed}, self.name)

    @cached_property
    def _contents(self) -> Tree:
        return _of_runs(to_dict(self.config), "")

    def along_with(self, keys: Mapping[str, JsonValue]) -> Setting:
        """The setting with more keys that go with its values."""
        return replace(self, config=with_overrides(self.config, dict(keys)), also={**self.also, **keys})

    @property
    def plain(self) -> JsonValue:
        """Its value; of several keys the list of them."""
        return self.values[0] if len(self.values) == 1 else list(self.values)


def with_values(config: Config, section: str, vary: Mapping[str, Sequence[object]]) -> Config:
    """A config with `sweep.values` or `lr_find.values` set.

    Args:
        config: what is trained.
        section: `sweep` or `lr_find`.
        vary: keys, or their short names weight_decay and momentum, and the values of each.

    Raises:
        ConfigError: a key or a value that the config does not take.
    """
    return with_overrides(config, {f"{section}.values": {full_key(key): list(values) for key, values in vary.items()}})


def settings(config: Config, points: Iterable[Sequence[JsonValue]] | None = None) -> list[Setting]:
    """Every setting of `config.sweep.values`: all values of one key, all pairs of two.

    Args:
        config: of the sweep.
        points: of a sweep by points, the values of each; None: a grid.

    Raises:
        UsageError: no values, the same value twice, or values that `sweep.refine` cannot go on between.
        ConfigError: values that do not go together with the rest of the config.
    """
    if not config.sweep.values:
        raise UsageError("sweep.values: none given; for example --values 1e-5,1e-4,1e-3")
    both = [key for key in config.sweep.values if key in config.sweep.retune]
    if both:
        raise UsageError(f"--retune {both[0]}: is what is swept; retune another key, such as schedule.max_lr")
    found = with_settings(config, product(*config.sweep.values.values()) if points is None else points)
    if config.sweep.refine and not all(_is_number(each) for each in found):
        raise UsageError("--refine: takes one key whose values are numbers")
    return found


def _is_number(setting: Setting) -> bool:
    return len(setting.values) == 1 and isinstance(setting.values[0], int | float)


def with_settings(config: Config, combinations: Iterable[Sequence[JsonValue]]) -> list[Setting]:
    """Settings of the swept keys, from their values: a complete short run each.

    Raises:
        UsageError: the same value twice.
        ConfigError: values that do not go together with the rest of the config.
    """
    keys = tuple(config.sweep.values)
    base = {"train.epochs": config.sweep.epochs, "train.checkpoint_epochs": [], "sweep.points": None}
    base |= {f"{section}.values": {} for section in ("sweep", "lr_find", "tune")}  # a run knows its own values alone
    bare = with_overrides(config, base | {"sweep.retune": {}})
    found: dict[str, Setting] = {}
    for combined in combinations:
        own = with_overrides(bare, dict(zip(keys, combined, strict=True)))
        resolved = tuple(value_of(own, key) for key in keys)
        name = JOINED.join(written(value) for value in resolved)
        if name in found:
            raise UsageError(f"--values: {name} is there twice; leave one of them out")
        setting = Setting(name, resolved, own)
        also = scaled(config, own, keys)
        found[name] = setting.along_with(also) if also else setting
    return list(found.values())


def identity(config: Config, name: str) -> str:
    """The identity of a training run, equal for equal configs. It begins with the setting's name and the seed."""
    return _identity(_of_runs(to_dict(config), ""), name)


def _identity(contents: Tree, name: str) -> str:
    digest = hashlib.sha256(json.dumps(contents, sort_keys=True).encode()).hexdigest()
    readable = re.sub(r"[^\w.+-]+", "_", name)[:40]
    return f"{readable}-seed-{contents['seed']}-{digest[:10]}"


def _of_runs(tree: Tree, prefix: str) -> Tree:
    """What of a config determines a training run."""
    found: Tree = {}
    for name, value in tree.items():
        key = f"{prefix}{name}"
        if isinstance(value, dict) and not prefix:
            inner = _of_runs(value, f"{key}.")
            found |= {name: inner} if inner else {}
        elif scope_of(key) & Scope.RUN and (key, value) not in LATER.items():
            found[name] = value
    return found


def value_of(config: Config, key: str) -> JsonValue:
    """The value of a dotted key, as plain data.

    Raises:
        ConfigError: no such key.
    """
    section, names = config, key.split(".")  # type: Section, list[str]
    while isinstance(inner := getattr(section, names[0], None), Section) and len(names) > 1:
        section, names = inner, names[1:]
    node: JsonValue = section.model_dump(mode="json", include={names[0]})
    for name in names:
        if not isinstance(node, dict) or name not in node:
            raise ConfigError(f"{key}: is not set")
        node = node[name]
    return node


def own_values(config: Config, keys: Iterable[str]) -> tuple[JsonValue, ...] | None:
    """The values of dotted keys; None: one of them is not set, such as an argument that a network is not given."""
    try:
        return tuple(value_of(config, key) for key in keys)
    except ConfigError:
        return None


def written(value: object) -> str:
    """A value as a person writes it, the same however it was given: 1e-4, 0.95-0.85, resnet20."""
    if isinstance(value, float) or (isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 10**6):
        plain = f"{value:.10g}"
        if not math.isfinite(value):
            return plain
        mantissa, _, exponent = f"{value:.9e}".partition("e")
        short = f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}"
        return short if value and len(short) < len(plain) else plain
    return str(value) if isinstance(value, str | Momentum) else json.dumps(value)


def positions(key: str, values: Sequence[JsonValue]) -> tuple[list[float] | None, bool]:
    """Where values lie on their own scale, and whether that is logarithmic; None: they have no order.

    A momentum lies at its effective memory, 1 / (1 − m), the middle of a pair; a zero lies a decade below the lowest.
    """
    if key == "schedule.momentum":
        middles = [_middle(parse_momentum(value)) for value in values]
        return [-math.log10(1 - middle) for middle in middles], False
    numbers = [float(value) for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
    if len(numbers) < len(values):
        return None, False
    above = [value for value in numbers if value > 0]
    if above and min(numbers) >= 0 and max(above) > LOG_FROM * min(above):
        lowest = math.log10(min(above)) - 1
        return [math.log10(value) if value > 0 else lowest for value in numbers], True
    return numbers, False


def _middle(momentum: Momentum) -> float:
    return (momentum.high + momentum.low) / 2
