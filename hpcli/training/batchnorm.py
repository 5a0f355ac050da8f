"""BatchNorm's running statistics, measured anew from images instead of remembered from training.

At high learning rates the running averages lag behind the weights: Smith's own range test showed an accuracy of .73 by
them where the network had .88 (1708.07120, figure 4).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from hpcli.config import Config
from hpcli.errors import ConfigError
from hpcli.training.numerics import Numerics

SETTLED = 5.0
"""Running averages have settled after so many times their memory, 1 / momentum."""


@contextmanager
def reestimated(model: nn.Module, batches: Iterable[Tensor], numerics: Numerics | None = None) -> Iterator[None]:
    """While entered, the model's BatchNorm statistics are averages over the images of `batches`. Leaving restores them.

    Only the BatchNorm modules are in training mode meanwhile, so dropout stays off.

    Args:
        model: in evaluation mode.
        batches: normalised images, each [B, C, H, W].
        numerics: the precision to compute in, that of the evaluation to come; None: that of the model.
    """
    norms = list(tracked_norms(model).values())
    before = [({name: value.clone() for name, value in norm.named_buffers()}, norm.momentum) for norm in norms]
    try:
        if norms:
            with numerics.autocast() if numerics else nullcontext():
                _estimate(model, norms, batches)
        yield
    finally:
        for norm, (buffers, momentum) in zip(norms, before, strict=True):
            norm.momentum = momentum
            for name, value in norm.named_buffers():
                value.copy_(buffers[name])


def steps_to_settle(model: nn.Module) -> int:
    """Training steps after which a model's running averages have forgotten what they began with: 5 / momentum.

    What is left of the start is (1 − momentum) to the power of the steps: 0.5 % after 50 steps at 0.1. Earlier, a loss
    in evaluation mode says more about the averages than about the weights. 0: the model keeps no such averages.
    """
    momenta = [norm.momentum for norm in tracked_norms(model).values() if norm.momentum]
    return math.ceil(SETTLED / min(momenta)) if momenta else 0


def tracked_norms(model: nn.Module) -> dict[str, _BatchNorm]:
    """The BatchNorm modules that keep running statistics, by name, in the network's order."""
    return {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, _BatchNorm) and module.track_running_stats
    }


def check_batch(config: Config, model: nn.Module) -> None:
    """Check that a network can be trained in batches of the config's size.

    Raises:
        ConfigError: of one image, which has no variance that BatchNorm could measure.
    """
    if config.data.batch_size == 1 and has_trained_norms(model):
        raise ConfigError(f"data.batch_size: 1: {config.model.name} has BatchNorm, which needs more; raise it")


def has_trained_norms(model: nn.Module) -> bool:
    """Whether a BatchNorm module takes its statistics from batches while training: one that is not frozen."""
    norms = [module for module in model.modules() if isinstance(module, _BatchNorm)]
    return any(norm.weight is None or norm.weight.requires_grad for norm in norms)


def _estimate(model: nn.Module, norms: list[_BatchNorm], batches: Iterable[Tensor]) -> None:
    hooks = [norm.register_forward_pre_hook(_Average()) for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.train()
    try:
        with torch.no_grad():
            for images in batches:
                if len(images) > 1:  # one image has no variance
                    model(images)
    finally:
        for norm, hook in zip(norms, hooks, strict=True):
            hook.remove()
            norm.eval()


class _Average:
    """Before each forward pass, makes the module's update an average over all images so far, each of equal weight.

    Torch's own cumulative average (a momentum of None) weights batches, a small last one like a full one, and reads a
    number back from a GPU at every pass.
    """

    def __init__(self) -> None:
        self.seen = 0

    def __call__(self, norm: _BatchNorm, inputs: tuple[Tensor, ...]) -> None:
        self.seen += len(inputs[0])
        norm.momentum = len(inputs[0]) / self.seen
