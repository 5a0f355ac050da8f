"""How large a network's weights are, by what weight decay does to them."""

from __future__ import annotations

import torch
from torch import nn


def weight_norms(model: nn.Module) -> dict[str, float]:
    """Euclidean norms of three groups of trainable weights.

    `body`: matrices and kernels; where BatchNorm follows, their scale changes nothing but the effective learning rate,
    lr / norm² (van Laarhoven, 1706.05350). `head`: those of the last layer. `norm_and_bias`: all vectors.
    """
    trained = [(name, weight) for name, weight in model.named_parameters() if weight.requires_grad]
    matrices = [name for name, weight in trained if weight.ndim > 1]
    last = matrices[-1] if matrices else None
    groups: dict[str, list[torch.Tensor]] = {"body": [], "head": [], "norm_and_bias": []}
    for name, weight in trained:
        group = "norm_and_bias" if weight.ndim <= 1 else "head" if name == last else "body"
        groups[group].append(weight.detach())
    norms = {name: torch.nn.utils.get_total_norm(weights) for name, weights in groups.items() if weights}
    return {name: float(norm) for name, norm in norms.items()}
