"""One training by several processes, each with a GPU of its own: what they tell each other.

The first one (rank 0) has the run folder, the terminal and all decisions; the others take the same steps, measure
their share of an evaluation, and say nothing. What is to be done goes from host to host by gloo, so that no GPU is
waited for; gradients, losses and scores go from device to device.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
from torch import Tensor
from torch import distributed as dist
from torch.distributed import PrefixStore  # type: ignore[attr-defined]
from torch.distributed.rendezvous import rendezvous

from hpcli.config import Config
from hpcli.errors import PeerLostError, UsageError
from hpcli.signals import StopSignals
from hpcli.training.launch import Launch, Together, launched
from hpcli.training.schedules import Schedule

WAIT = timedelta(days=7)
"""For what is to be done: the first process may decode images for hours. One that is gone is noticed at once."""


@dataclass(frozen=True)
class Begin:
    """A trainer is to be made."""

    config: Config
    allowed_code: tuple[str, ...]
    images: Mapping[str, str]  # part → what its images are, by their hash


@dataclass(frozen=True)
class Train:
    """Steps [start, stop) of a schedule are to come, from a trainer's state on."""

    schedule: Schedule
    start: int
    stop: int
    state: Mapping[str, Any]


@dataclass(frozen=True)
class Measure:
    """An evaluation, with the arguments of `Trainer.evaluate`."""

    split: str
    bn_images: int
    by_class: bool


@dataclass(frozen=True)
class End:
    """All is done, with an exit code."""

    code: int


Task = Begin | Train | Measure | End


class Ranks:
    """The processes of a training as one of them sees them. A single one: nothing is sent, every number is its own."""

    rank, size = 0, 1
    leads = False
    """Whether other processes do what this one says."""
    seeds: tuple[int, ...] = ()
    """What dropout is seeded by besides the step: each process drops other units."""

    def mean(self, weights: Iterable[Tensor], loss: Tensor, images: int) -> Tensor:
        """Average gradients, in place, and losses over the images of all processes.

        Args:
            weights: with the gradients of this process's images, where they are trained. None counts as zeros: which
                weights a step leaves out may differ from process to process.
            loss: the mean over this process's images, a scalar without gradient.
            images: how many they are.

        Returns:
            The loss of the whole batch.
        """
        return loss

    def total(self, *tensors: Tensor) -> None:
        """Add up what the processes have, in place."""

    def step(self) -> None:
        """Tell the others to take a step."""

    def tell(self, task: Task) -> None:
        """Tell the others what is to be done."""


ALONE = Ranks()


class Joined(Ranks):
    """One of several processes. `join` makes it."""

    def __init__(self, launch: Launch, device: str) -> None:
        """Of a process group that is there.

        Args:
            launch: which of them.
            device: as for `choose_device`.
        """
        self.launch, self.rank, self.size, self.device = launch, launch.rank, launch.size, device
        self.leads, self.seeds = launch.rank == 0, (launch.rank,)
        self.signals = StopSignals()  # of another process than the first
        self.on_signal: Callable[[int], object] = lambda number: None  # what the first one does where another got one
        self._host: Any = dist.new_group(backend="gloo", timeout=WAIT)

    def mean(self, weights: Iterable[Tensor], loss: Tensor, images: int) -> Tensor:
        """As `Ranks`'s: all of it in one message, after the backward pass.

        Torch's DistributedDataParallel sends beside the backward pass, but it wraps the network, takes each process for
        as many images as the others, and asks for a gradient of every weight.
        """
        trained = [each for each in weights if each.requires_grad]
        gradients = [torch.zeros_like(each) if each.grad is None else each.grad for each in trained]
        for weight, gradient in zip(trained, gradients, strict=True):
            weight.grad = gradient
        flat = torch.cat([each.flatten() for each in (*gradients, loss, torch.ones_like(loss))]).mul_(images)
        self.total(flat)
        *sums, loss_sum, count = flat.split([each.numel() for each in (*gradients, loss, loss)])
        count = count.view(())
        for gradient, each in zip(gradients, sums, strict=True):
            torch.div(each.view_as(gradient), count, out=gradient)
        mean: Tensor = (loss_sum / count).view_as(loss)
        return mean

    def total(self, *tensors: Tensor) -> None:
        """As `Ranks`'s: for all the same to the bit."""
        with _peers():
            for each in tensors:
                dist.all_reduce(each)

    def step(self) -> None:
        """As `Ranks`'s. A signal that another process got comes back."""
        if self.leads:
            _, number = self._meet(tells=False)
            if number:
                self.on_signal(number)

    def tell(self, task: Task) -> None:
        """As `Ranks`'s."""
        if self.leads:
            self._meet(tells=True)
            self._sent(task)

    def told(self) -> Task | None:
        """What the first process says is to be done; None: a step."""
        tells, _ = self._meet(tells=False)
        return self._sent(None) if tells else None

    def wait(self) -> None:
        """Wait until all have come here."""
        self._meet(tells=False)

    def _meet(self, *, tells: bool) -> tuple[int, int]:
        """Whether the first process tells more than that a step is to be taken; and the number of a signal, or 0."""
        note = torch.tensor([int(tells), self.signals.received or 0], device="cpu")
        with _peers():
            dist.all_reduce(note, dist.ReduceOp.MAX, group=self._host)
        more, number = note.tolist()
        return more, number

    def _sent(self, task: Task | None) -> Task | None:
        box = [task]
        with _peers():
            dist.broadcast_object_list(box, src=0, group=self._host, device=torch.device("cpu"))
        return box[0]

    def leave(self) -> None:
        """Part, all having done what there was to do."""
        self._host = None  # whose threads would outlive it
        dist.destroy_process_group()
        Together.here = None


def join(device: str) -> Joined:
    """Meet the other processes: by gloo on a CPU, by NCCL where each has a GPU.

    Args:
        device: `auto`, `cpu` or `cuda`.

    Raises:
        UsageError: there are not as many GPUs as processes on this machine, or one is named.
        PeerLostError: another process is gone.
    """
    here, attempt = launched(), os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
    with _peers():
        common, *_ = next(rendezvous("env://", here.rank, here.size))
        store = PrefixStore(f"hpcli/{attempt}", common)
        Together.here = Together(store)
        own = _device(device, here)
        if own.type == "cuda":
            torch.cuda.set_device(own)
        kind, store = "nccl" if own.type == "cuda" else "gloo", PrefixStore("group", store)
        dist.init_process_group(kind, store=store, rank=here.rank, world_size=here.size)
        return Joined(here, str(own))


def _device(asked: str, here: Launch) -> torch.device:
    """The device of this process."""
    if asked not in ("auto", "cpu", "cuda"):
        raise UsageError(f"--device {asked}: each of several processes takes one; write --device cuda, or --device cpu")
    if asked == "cpu" or (asked == "auto" and not torch.cuda.is_available()):
        return torch.device("cpu")
    count = torch.cuda.device_count()
    if count < here.local_size:
        raise UsageError(
            f"--device {asked}: {here.local_size} processes on a machine with {count} GPUs; start as many, or write "
            "--device cpu"
        )
    return torch.device("cuda", here.local_rank)


@contextmanager
def _peers() -> Iterator[None]:
    """What torch makes of a connection whose other end is gone."""
    try:
        yield
    except RuntimeError as error:
        raise PeerLostError(
            "another process of this training is gone; --resume goes on from the last checkpoint"
        ) from error
