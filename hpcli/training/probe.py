"""A trainer looked into before it trains: its first loss and gradients, dropout switched off."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from hpcli.data.randomness import STEP, seed_for
from hpcli.models.freezing import train_mode
from hpcli.training.device import seed_generators
from hpcli.training.trainer import Trainer

DROPOUT = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.FeatureAlphaDropout)


def first_gradients(trainer: Trainer) -> tuple[float, dict[str, float | None]]:
    """The loss of a trainer's first batch, in training mode, and its gradients. No weight is changed; BatchNorm's are.

    Returns:
        The cross-entropy in nats; and name of each layer's weights (those with two dimensions or more that are
        trained) → the root mean square of their gradient; None: the loss does not depend on them.
    """
    weights = {name: each for name, each in trainer.model.named_parameters() if each.requires_grad and each.ndim > 1}
    train_mode(trainer.model)
    with trainer.numerics.active():
        images, labels = trainer.data.loader.batch(0)
        seed_generators(seed_for(trainer.seed, STEP, 0), trainer.device)
        with trainer.numerics.autocast():
            logits = trainer.model(images)
        loss = F.cross_entropy(logits.float(), labels)
        if not weights or not loss.requires_grad:
            return float(loss.detach()), dict.fromkeys(weights)
        found = torch.autograd.grad(loss, list(weights.values()), allow_unused=True)
    rms = [None if each is None else float(each.square().mean().sqrt()) for each in found]
    return float(loss.detach()), dict(zip(weights, rms, strict=True))


def switch_off_dropout(model: nn.Module) -> None:
    """Let dropout layers drop nothing; dropout that a network's own code calls stays."""
    for module in model.modules():
        if isinstance(module, DROPOUT):
            module.p = 0.0
