"""Schedule-free weights: an average that the optimizer keeps is evaluated, not where its gradients are taken."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from functools import partial

import torch
from torch import Tensor, nn

from hpcli.config.alphas import BN_IMAGES
from hpcli.data.on_device import DeviceData
from hpcli.models.freezing import train_mode
from hpcli.training.average import WeightAverage
from hpcli.training.batchnorm import Reestimation
from hpcli.training.numerics import Numerics
from hpcli.training.optimizer import Optimizer


class ScheduleFreeAverage(WeightAverage):
    """The average of a schedule-free optimizer (Defazio et al., 2405.15682), which its `eval()` makes of the weights.

    BatchNorm's running statistics are those of the weights that are trained, so they are measured anew for the average,
    once for as long as no step is taken. The trained weights come back as they were: the library's own way back is only
    so up to rounding.
    """

    def __init__(
        self, model: nn.Module, optimizer: torch.optim.Optimizer, measured: Callable[[], AbstractContextManager[None]]
    ) -> None:
        """Begin with nothing.

        Args:
            model: whose weights the optimizer steps.
            optimizer: with `eval()` and `train()`.
            measured: while what it returns is entered, BatchNorm's statistics are those of the present weights.
        """
        super().__init__(model, None)
        self.optimizer, self.measured = optimizer, measured

    def update(self) -> None:
        """After a step: the average that was made is of the past."""
        self._average = None
        self.count += 1

    def weights(self) -> Mapping[str, Tensor]:
        """As `WeightAverage`'s."""
        self._make()
        return super().weights()

    def trained(self) -> Mapping[str, Tensor] | None:
        """As `WeightAverage`'s."""
        return self._own if self.count else None

    @contextmanager
    def shown(self) -> Iterator[None]:
        """As `WeightAverage`'s."""
        self._make()
        with super().shown():
            yield

    def _make(self) -> None:
        if self._average is not None or not self.count:
            return
        own = {name: each.clone() for name, each in self._own.items()}
        self.optimizer.eval()  # type: ignore[attr-defined]
        try:
            with self.measured():
                self._average = {name: each.clone() for name, each in self._own.items()}
        finally:
            self.optimizer.train()  # type: ignore[attr-defined]
            self._give(own)


def average_of(
    model: nn.Module,
    optimizer: Optimizer,
    ema: float | None,
    data: DeviceData,
    numerics: Numerics,
    reestimation: Reestimation,
) -> WeightAverage:
    """What of a trainer's weights is evaluated: the optimizer's own average where it keeps one, else that of `ema`."""
    if not optimizer.averages:
        return WeightAverage(model, ema)
    measured = partial(_measured, model, data, numerics, reestimation)  # no method: a circle would keep the model
    return ScheduleFreeAverage(model, optimizer.torch_optimizer, measured)


@contextmanager
def _measured(model: nn.Module, data: DeviceData, numerics: Numerics, reestimation: Reestimation) -> Iterator[None]:
    """While entered, BatchNorm's statistics are those of a fixed choice of training images."""
    was_training = model.training
    model.eval()
    loader = data.eval_loader("train", BN_IMAGES, batch_size=data.loader.batch_size)
    try:
        with numerics.active(), reestimation.on(images for images, _ in loader):
            yield
    finally:
        if was_training:
            train_mode(model)
