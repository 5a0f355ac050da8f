"""The norms of a network's weights, whether they are numbers, whether a checkpoint fits a network; copies."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

Weights = Mapping[str, Tensor]
"""Tensors by name, as of `state_dict`."""
State = dict[str, Any]
"""Tensors and plain types."""


def weight_norms(model: nn.Module) -> dict[str, float]:
    """Euclidean norms of three groups of trainable weights.

    `body`: matrices and kernels; where BatchNorm follows, their scale changes nothing but the effective learning rate,
    lr / norm² (van Laarhoven, 1706.05350). `head`: those of the last layer. `norm_and_bias`: all vectors.
    """
    trained = [(name, weight) for name, weight in model.named_parameters() if weight.requires_grad]
    matrices = [name for name, weight in trained if weight.ndim > 1]
    last = matrices[-1] if matrices else None
    groups: dict[str, list[Tensor]] = {"body": [], "head": [], "norm_and_bias": []}
    for name, weight in trained:
        group = "norm_and_bias" if weight.ndim <= 1 else "head" if name == last else "body"
        groups[group].append(weight.detach())
    norms = {name: torch.nn.utils.get_total_norm(weights) for name, weights in groups.items() if weights}
    return {name: float(norm) for name, norm in norms.items()}


def first_not_finite(weights: Mapping[str, Tensor]) -> str | None:
    """The name of the first tensor that holds a NaN or an infinity; None: there is none."""
    return next((name for name, weight in weights.items() if not torch.isfinite(weight).all()), None)


def first_difference(own: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> str | None:
    """The first tensor in which a model and a checkpoint differ by name or shape, in words; None: they fit."""
    for name in [*own, *other]:
        ours, theirs = own.get(name), other.get(name)
        if ours is None or theirs is None or ours.shape != theirs.shape:
            shapes = [None if each is None else list(each.shape) for each in (ours, theirs)]
            return f"{name}: the model has {shapes[0]}, the checkpoint {shapes[1]}; same config?"
    return None


def snapshot(tree: Any, device: str | None = None) -> Any:
    """A copy that shares nothing, in a tenth of the time that `copy.deepcopy` takes over a tensor.

    Tensors stay where they are, or lie on a device.
    """
    if isinstance(tree, Tensor):
        return tree.detach().clone() if device is None else tree.detach().to(device, copy=True)
    if isinstance(tree, dict):
        return {key: snapshot(value, device) for key, value in tree.items()}
    if isinstance(tree, list | tuple):
        return type(tree)(snapshot(value, device) for value in tree)
    return copy.deepcopy(tree)
