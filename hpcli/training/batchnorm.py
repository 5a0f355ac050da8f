"""BatchNorm's running statistics, measured anew from images instead of remembered from training.

At high learning rates the running averages lag behind the weights: Smith's own range test showed an accuracy of .73 by
them where the network had .88 (1708.07120, figure 4).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


@contextmanager
def reestimated(model: nn.Module, batches: Iterable[Tensor]) -> Iterator[None]:
    """While entered, the model's BatchNorm statistics are plain averages over `batches`. Leaving restores them.

    Only the BatchNorm modules are in training mode meanwhile, so dropout stays off.

    Args:
        model: in evaluation mode.
        batches: normalised images, each [B, C, H, W].
    """
    norms = list(tracked_norms(model).values())
    before = [({name: value.clone() for name, value in norm.named_buffers()}, norm.momentum) for norm in norms]
    try:
        if norms:
            _estimate(model, norms, batches)
        yield
    finally:
        for norm, (buffers, momentum) in zip(norms, before, strict=True):
            norm.momentum = momentum
            for name, value in norm.named_buffers():
                value.copy_(buffers[name])


def tracked_norms(model: nn.Module) -> dict[str, _BatchNorm]:
    """The BatchNorm modules that keep running statistics, by name, in the network's order."""
    return {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, _BatchNorm) and module.track_running_stats
    }


def _estimate(model: nn.Module, norms: list[_BatchNorm], batches: Iterable[Tensor]) -> None:
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # torch's way to say: a cumulative average
        norm.train()
    try:
        with torch.no_grad():
            for images in batches:
                if len(images) > 1:  # one image has no variance
                    model(images)
    finally:
        for norm in norms:
            norm.eval()
