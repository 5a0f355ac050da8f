"""The losses of a run's steps, collected on the device and read without making it wait."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

StepLoss = tuple[int, float]
"""A step and its loss."""
EVERY = 10
"""Steps between copies to the host, on a GPU."""


class LossRecord:
    """Losses by step. On a GPU they travel to the host every few steps, beside the computation; on a CPU at once."""

    def __init__(self, num_steps: int, start: int, device: torch.device) -> None:
        self.on_gpu = device.type == "cuda"
        if self.on_gpu:
            self.values = torch.zeros(num_steps, device=device)  # [S]
            self.host = torch.zeros(num_steps, pin_memory=True)
        self.copied = self.written = self.taken = start
        self.events: list[tuple[int, torch.cuda.Event]] = []
        self.arrived: list[StepLoss] = []  # on a CPU

    def write(self, step: int, loss: Tensor) -> None:
        """Keep the loss of a step: a float32 scalar on the device. Steps come in order."""
        self.written = step + 1
        if not self.on_gpu:
            self.arrived.append((step, loss.item()))
            return
        self.values[step].copy_(loss)
        if self.written - self.copied >= EVERY:
            self._send()

    def take(self, *, wait: bool = False) -> list[StepLoss]:
        """The losses that have arrived since the last call, as (step, loss); with `wait` all that were written."""
        if not self.on_gpu:
            taken, self.arrived = self.arrived, []
            return taken
        first, last = self.taken, self._received(wait)
        self.taken = last
        return list(zip(range(first, last), self.host[first:last].tolist(), strict=True))

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
