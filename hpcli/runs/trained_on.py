"""Weights compared with the data that they meet: their classes by name, and the images that they were trained on."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

from hpcli.config import Config, differing_keys, read_config
from hpcli.config.scope import Scope
from hpcli.data.dataset import Splits
from hpcli.errors import CheckpointError, HpcliWarning
from hpcli.results.data import DataFacts
from hpcli.runs.weights import Stored, config_beside

if TYPE_CHECKING:
    from torch import Tensor


def fitting(stored: Stored, splits: Splits, config: Config | None = None) -> dict[str, Tensor]:
    """Stored weights, once it is known that their outputs mean the classes that the data have.

    Args:
        stored: weights. Those that do not say what they were trained on are not compared.
        splits: the data that they meet.
        config: what is measured. Where it names the data of the weights' own run, and these have changed since, that
            is a warning. None: nothing is measured, training goes on from the weights.

    Raises:
        CheckpointError: the classes are others, or in another order.
    """
    if stored.data is not None:
        difference = stored.data.other_classes(splits.source.classes)
        if difference is not None:
            raise CheckpointError(
                f"{stored.name}: trained on other classes: {difference}; use the data that it was trained on"
            )
        if config is not None and _has_own_data(stored.name, config):
            _warn_of_change(stored.name, DataFacts.of(splits), stored.data)
    return stored.weights


def _has_own_data(name: str, config: Config) -> bool:
    """Whether a config names the data of the run that weights lie in."""
    file = config_beside(name)
    return file is not None and not differing_keys(read_config(file), config, of=Scope.IMAGES)


def _warn_of_change(name: str, now: DataFacts, then: DataFacts) -> None:
    change = now.change_since(then)
    if change is not None:
        warnings.warn(
            f"{name}: the data have changed since it was trained: {change}; what is measured here does "
            "not compare with what the run measured",
            HpcliWarning,
            stacklevel=4,
        )
