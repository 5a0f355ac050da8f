"""The losses and gradient norms of a run's steps, collected on the device and read without making it wait."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

StepLoss = tuple[int, float]
"""A step and its loss."""
EVERY = 10
"""Steps between copies to the host, on a GPU."""


class LossRecord:
    """Losses and norms by step. On a GPU they travel to the host every few steps, beside the computation."""

    def __init__(self, num_steps: int, start: int, device: torch.device) -> None:
        self.on_gpu = device.type == "cuda"
        if self.on_gpu:
            self.values = torch.zeros(num_steps, 2, device=device)  # [S, 2], loss and norm
            self.host = torch.zeros(num_steps, 2, pin_memory=True)
        self.copied = self.written = self.taken = start
        self.events: list[tuple[int, torch.cuda.Event]] = []
        self.arrived: list[StepLoss] = []  # on a CPU
        self.norms: dict[int, float] = {}  # likewise
        self.has_norms = False

    def write(self, step: int, loss: Tensor, grad_norm: Tensor | None = None) -> None:
        """Keep what came of a step. Steps come in order.

        Args:
            step: its number.
            loss: a float32 scalar on the device.
            grad_norm: likewise; None: it is not measured, at no step.
        """
        self.written = step + 1
        self.has_norms = grad_norm is not None
        if not self.on_gpu:
            self.arrived.append((step, loss.item()))
            if grad_norm is not None:
                self.norms[step] = grad_norm.item()
            return
        self.values[step, 0].copy_(loss)
        if grad_norm is not None:
            self.values[step, 1].copy_(grad_norm)
        if self.written - self.copied >= EVERY:
            self._send()

    def take(self, *, wait: bool = False) -> list[StepLoss]:
        """The losses that have arrived since the last call, as (step, loss); with `wait` all that were written."""
        if not self.on_gpu:
            taken, self.arrived = self.arrived, []
            return taken
        first, last = self.taken, self._received(wait)
        self.taken = last
        return list(zip(range(first, last), self.host[first:last, 0].tolist(), strict=True))

    def grad_norm(self, step: int) -> float | None:
        """The norm of the gradient at a step whose loss has arrived; None: it was not measured."""
        if not self.has_norms:
            return None
        return self.host[step, 1].item() if self.on_gpu else self.norms[step]

    def _send(self) -> None:
        window = slice(self.copied, self.written)
        self.host[window].copy_(self.values[window], non_blocking=True)
        event = torch.cuda.Event()
        event.record()
        self.events.append((self.written, event))
        self.copied = self.written

    def _received(self, wait: bool) -> int:
        """The first step whose loss has not arrived."""
        if wait and self.copied < self.written:
            self._send()
        arrived = self.taken
        while self.events and (wait or self.events[0][1].query()):
            arrived, event = self.events.pop(0)
            event.synchronize()
        return arrived


@dataclass(frozen=True)
class StepReport:
    """A step that has been taken, and the losses that have arrived since the last report: on a GPU they come late."""

    step: int
    epoch: int
    lr: float
    momentum: float
    ends_epoch: bool
    losses: tuple[StepLoss, ...]
    _record: LossRecord

    def wait(self) -> tuple[StepLoss, ...]:
        """Wait for a GPU, and return the losses up to this step that had not arrived."""
        return tuple(self._record.take(wait=True))

    def grad_norm(self, step: int) -> float | None:
        """The norm of the gradient at a step whose loss has arrived, before clipping; None: it was not measured."""
        return self._record.grad_norm(step)
