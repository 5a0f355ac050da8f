"""One step: forward, backward, update."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn
from torch.nn import functional as F

from hpcli.training.compiled import Forward, compiled
from hpcli.training.numerics import Numerics
from hpcli.training.optimizer import Optimizer
from hpcli.training.ranks import ALONE

Loss = Callable[[Tensor, Tensor], Tensor]
"""Logits [B, K] as float32 and labels [B] → a scalar to descend."""


class CrossEntropy:
    """The mean cross-entropy of a batch, in nats; with smoothing a share of the target is spread over all classes."""

    def __init__(self, label_smoothing: float = 0.0) -> None:
        self.label_smoothing = label_smoothing

    def __call__(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Logits [B, K] and labels [B] → a scalar."""
        return F.cross_entropy(logits, labels, label_smoothing=self.label_smoothing)


class Step:
    """Trains a model on one batch. Returns the loss without reading it, so that a GPU never waits."""

    def __init__(
        self,
        model: nn.Module,
        optimizer: Optimizer,
        loss: Loss,
        *,
        numerics: Numerics,
        clip_norm: float | None = None,
        compiles: bool = False,
    ) -> None:
        self.model = model
        self._forward: Forward | None = None if compiles else model  # None: it is compiled at the first step
        self.optimizer = optimizer
        self.loss = loss
        self.numerics = numerics
        self.clip_norm = clip_norm
        self.norms = False
        """Whether `grad_norm` is measured where nothing is clipped."""
        self.ranks = ALONE
        """The processes that take the step together."""
        self._weights = [weight for weight in model.parameters() if weight.requires_grad]
        self.grad_norm: Tensor | None = None
        """The L2 norm of the last step's gradient, all weights together, before it is clipped: a scalar on the device,
        unread. None: it is not measured."""

    def __call__(self, images: Tensor, labels: Tensor, lr: float, momentum: float) -> Tensor:
        """Take one step.

        Args:
            images: float32 [B, C, H, W], normalised.
            labels: int64 [B].
            lr: this step's learning rate, from the schedule.
            momentum: this step's.

        Returns:
            The loss of the batch before the update: a float32 scalar on the device. Of several processes each has its
            part of the batch; loss and update are those of the whole.
        """
        loss = self.descend(images, labels)
        self.optimizer.step(lr, momentum)
        return loss

    def descend(self, images: Tensor, labels: Tensor) -> Tensor:
        """The loss of a batch, its gradients left in the weights, clipped if they are to be: what needs no schedule."""
        if self._forward is None:
            self._forward = compiled(self.model, self.loss, images, labels)
        with self.numerics.autocast():
            logits = self._forward(images)
        loss = self.loss(logits.float(), labels)
        loss.backward()
        loss = self.ranks.mean(self.model.parameters(), loss.detach(), len(images))
        if self.clip_norm is not None:
            self.grad_norm = nn.utils.clip_grad_norm_(self.model.parameters(), self.clip_norm)
        elif self.norms:
            gradients = [weight.grad for weight in self._weights if weight.grad is not None]
            self.grad_norm = nn.utils.get_total_norm(gradients, foreach=True)
        return loss
