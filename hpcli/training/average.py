"""A running average of the weights, which is evaluated and kept in place of the weights that are trained."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn


class WeightAverage:
    """An exponential moving average of a model's weights and buffers: a ← d·a + (1 − d)·w after every step.

    The update is torch.optim.swa_utils'; its AveragedModel asks the device after every step whether it was the first.
    It begins with the weights after the first step; d is (1 + n) / (10 + n) after n of them, as TensorFlow's
    ExponentialMovingAverage has it, until that is `decay`: the average never remembers more than the last tenth or so
    of the steps, and does not lag in a short run. BatchNorm's running statistics are averaged too, so that they go with
    the averaged weights; counts are copied. (Morales-Brotons et al., 2411.18704.)
    """

    def __init__(self, model: nn.Module, decay: float | None) -> None:
        """Begin with nothing.

        Args:
            model: whose weights change in place.
            decay: share of the average that a step keeps at most, from 0 to 1; None: there is no average, ever.
        """
        self.decay = decay
        self.count = 0
        """Steps that are averaged."""
        self._own: dict[str, Tensor] = model.state_dict()  # the model's own memory, whatever it is given
        self._floats = [name for name, each in self._own.items() if each.is_floating_point()]
        self._average: dict[str, Tensor] | None = None

    def reset(self) -> None:
        """Forget: the model's own weights are evaluated until the next step."""
        self._average, self.count = None, 0

    @torch.no_grad()
    def update(self) -> None:
        """Take in the model's weights, after a step."""
        if self.decay is None:
            return
        if self._average is None:
            self.begin_with(self._own, 1)
            return
        average, lists = self._average, ([each[name] for name in self._floats] for each in (self._average, self._own))
        decay = min(self.decay, (1 + self.count) / (10 + self.count))
        get_ema_multi_avg_fn(decay)(*lists, self.count)
        for name in self._own.keys() - set(self._floats):
            average[name].copy_(self._own[name])
        self.count += 1

    def weights(self) -> Mapping[str, Tensor]:
        """What is evaluated: the average by name; where there is none the model's own weights."""
        return self._own if self._average is None else self._average

    def trained(self) -> Mapping[str, Tensor] | None:
        """The model's own weights, where what is evaluated is an average; else None."""
        return None if self._average is None else self._own

    def begin_with(self, weights: Mapping[str, Tensor], count: int) -> None:
        """Go on from an average of so many steps; it is put where the model is."""
        self.count = count
        self._average = {name: torch.empty_like(own).copy_(weights[name]) for name, own in self._own.items()}

    @contextmanager
    def shown(self) -> Iterator[None]:
        """While entered, the model has the averaged weights, at the addresses of its own; leaving restores its own."""
        if self._average is None:
            yield
            return
        own = {name: each.clone() for name, each in self._own.items()}
        try:
            self._give(self._average)
            yield
        finally:
            self._give(own)

    @torch.no_grad()
    def _give(self, weights: Mapping[str, Tensor]) -> None:
        for name, each in self._own.items():
            each.copy_(weights[name])
