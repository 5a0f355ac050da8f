"""One step: forward, backward, update."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hpcli.training.optimizer import Optimizer


class Step:
    """Trains a model on one batch. Returns the loss without reading it, so that a GPU never waits."""

    def __init__(
        self,
        model: nn.Module,
        optimizer: Optimizer,
        *,
        dtype: torch.dtype | None,
        label_smoothing: float = 0.0,
        clip_norm: float | None = None,
    ) -> None:
        self.model = model
        self.optimizer = optimizer
        self.dtype = dtype
        self.label_smoothing = label_smoothing
        self.clip_norm = clip_norm

    def __call__(self, images: Tensor, labels: Tensor, lr: float, momentum: float) -> Tensor:
        """Take one step.

        Args:
            images: float32 [B, C, H, W], normalised.
            labels: int64 [B].
            lr: this step's learning rate, from the schedule.
            momentum: this step's.

        Returns:
            The mean cross-entropy of the batch before the update, in nats: a float32 scalar on the device.
        """
        with torch.autocast(images.device.type, dtype=self.dtype, enabled=self.dtype is not None):
            logits = self.model(images)
        loss = F.cross_entropy(logits.float(), labels, label_smoothing=self.label_smoothing)
        loss.backward()
        if self.clip_norm is not None:
            nn.utils.clip_grad_norm_(self.model.parameters(), self.clip_norm)
        self.optimizer.step(lr, momentum)
        return loss.detach()
