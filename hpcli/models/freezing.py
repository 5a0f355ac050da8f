"""Training the head alone: the body's weights and BatchNorm statistics stay as they are."""

from __future__ import annotations

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from hpcli.models.hub import last_layer


def head_of(model: nn.Module) -> str:
    """Name of the model's top-level part that holds the layer of the logits, such as fc, classifier or head."""
    return last_layer(model)[0].partition(".")[0]


def freeze_body(model: nn.Module) -> None:
    """From now on only the head's weights are trained."""
    head = head_of(model)
    for name, weight in model.named_parameters():
        weight.requires_grad_(name.partition(".")[0] == head)


def train_mode(model: nn.Module) -> None:
    """Set training mode, except for BatchNorm modules with frozen weights, whose statistics are frozen too."""
    model.train()
    for module in model.modules():
        if isinstance(module, _BatchNorm) and module.weight is not None and not module.weight.requires_grad:
            module.eval()
