"""The choices that `tune` is given for a key without order: each has to go with some values of the other keys."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from pydantic import JsonValue

from hpcli.config.loading import with_overrides
from hpcli.config.schema import Config
from hpcli.config.space import Dimension
from hpcli.config.varying import written
from hpcli.errors import ConfigError

TRIES = 64
"""Values of the other keys that a choice is tried with."""


def with_choices(config: Config, dimensions: Sequence[Dimension]) -> dict[str, list[Config]]:
    """Of each key without order, a config with each of its choices: the present one, or else one with other values.

    Raises:
        ConfigError: a choice goes with no values of the other keys.
    """
    return {each.key: [_with(config, dimensions, each, choice) for choice in each.choices] for each in dimensions}


def _with(config: Config, dimensions: Sequence[Dimension], own: Dimension, choice: JsonValue) -> Config:
    random, fault = Random(0), ""
    others = [each for each in dimensions if each is not own]
    for number in range(TRIES):
        places = {each: random.randrange(len(each.choices)) if each.choices else random.random() for each in others}
        values = {each.key: each.value(place) for each, place in places.items() if number}
        try:
            return with_overrides(config, {**values, own.key: choice})
        except ConfigError as error:
            fault = fault or str(error)
    raise ConfigError(f"tune.values.{own.key}: {written(choice)} goes with none of the others' values: {fault}")
