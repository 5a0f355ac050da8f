"""The weights that a network begins with: a function of the seed."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from hpcli.config import Config
from hpcli.data.dataset import Splits
from hpcli.models import model_of
from hpcli.training import device as devices

Draw = Callable[[int], nn.Module]
"""Seed → a network with freshly drawn weights."""


class InitialWeights:
    """What each seed draws. The last one is kept.

    Trials that are compared share their seeds, and a network takes several times as long to build as to copy.
    """

    def __init__(self, draw: Draw) -> None:
        self._draw = draw
        self._last: tuple[int, Mapping[str, Tensor]] | None = None

    def of(self, seed: int) -> Mapping[str, Tensor]:
        """The weights and buffers of a seed, by name; not to be changed."""
        if self._last is None or self._last[0] != seed:
            self._last = (seed, self._draw(seed).state_dict())
        return self._last[1]


def drawn_by(config: Config, splits: Splits) -> Draw:
    """The function that draws a config's network by seed. It leaves torch's generators as they were."""
    _, height, width, channels = splits.train.images.shape

    def draw(seed: int) -> nn.Module:
        """A network with the weights that a seed draws."""
        with devices.generators_kept():
            devices.seed_generators(seed, torch.device("cpu"))
            return model_of(config, num_classes=len(splits.source.classes), shape=(height, width, channels))

    return draw


def same(model: nn.Module) -> Draw:
    """The function that returns the model's present weights for every seed."""
    start = copy.deepcopy(model)
    return lambda _: start
