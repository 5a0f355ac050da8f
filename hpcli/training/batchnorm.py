"""BatchNorm's running statistics, measured anew from images instead of remembered from training.

At high learning rates the running averages lag behind the weights: Smith's own range test showed an accuracy of .73 by
them where the network had .88 (1708.07120, figure 4).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from hpcli.config import Config
from hpcli.errors import ConfigError
from hpcli.training.captured import Captured, Graph
from hpcli.training.numerics import Numerics

SETTLED = 5.0
"""Running averages have settled after so many times their memory, 1 / momentum."""
TORCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
"""What torch replaces by SyncBatchNorm as it is; of a class of their own it would leave out what that adds."""


class Reestimation:
    """Measures a model's BatchNorm statistics anew, as often as it is asked."""

    def __init__(
        self, model: nn.Module, numerics: Numerics | None = None, graph: Callable[[], Graph] | None = None
    ) -> None:
        """Find the BatchNorm modules.

        Args:
            model: whose weights change in place.
            numerics: the precision to compute in, that of the evaluation to come; None: that of the model.
            graph: makes what a forward pass is captured by, for every size of batch; None: kernel by kernel.
        """
        self.graph = graph
        self._forward = partial(_forward, model, numerics)  # not a method: a circle would keep the model in memory
        self.norms = list(tracked_norms(model).values())
        self._sums = [_Sums(norm) for norm in self.norms]
        self._passes: dict[torch.Size, Callable[[Tensor], Tensor]] = {}

    @contextmanager
    def on(self, batches: Iterable[Tensor]) -> Iterator[None]:
        """While entered, the statistics are averages over the images of `batches`. Leaving restores them.

        Only the BatchNorm modules are in training mode meanwhile, so dropout stays off.

        Args:
            batches: normalised images, each [B, C, H, W]; the model is in evaluation mode.
        """
        before = [({name: value.clone() for name, value in norm.named_buffers()}, norm.momentum) for norm in self.norms]
        try:
            if self.norms:
                self._measure(batches)
            yield
        finally:
            for norm, (buffers, momentum) in zip(self.norms, before, strict=True):
                norm.momentum = momentum
                for name, value in norm.named_buffers():
                    value.copy_(buffers[name])

    @torch.no_grad()
    def _measure(self, batches: Iterable[Tensor]) -> None:
        hooks = [norm.register_forward_hook(sums) for norm, sums in zip(self.norms, self._sums, strict=True)]
        for norm, sums in zip(self.norms, self._sums, strict=True):
            norm.reset_running_stats()
            norm.momentum = 1.0  # the running averages are those of the last batch
            norm.train()
            sums.clear()
        try:
            for images in batches:
                if len(images) > 1:  # one image has no variance
                    self._pass(images)
        finally:
            for norm, hook in zip(self.norms, hooks, strict=True):
                hook.remove()
                norm.eval()
        for norm, sums in zip(self.norms, self._sums, strict=True):
            sums.give(norm)

    def _pass(self, images: Tensor) -> None:
        if images.shape not in self._passes:
            graph = self.graph
            self._passes[images.shape] = Captured(self._forward, graph(), warm_up=1) if graph else self._forward
        self._passes[images.shape](images)


def _forward(model: nn.Module, numerics: Numerics | None, images: Tensor) -> Tensor:
    with numerics.autocast() if numerics else nullcontext():
        logits: Tensor = model(images)
    return logits


def steps_to_settle(model: nn.Module) -> int:
    """Training steps after which a model's running averages have forgotten what they began with: 5 / momentum.

    What is left of the start is (1 − momentum) to the power of the steps: 0.5 % after 50 steps at 0.1. Earlier, a loss
    in evaluation mode says more about the averages than about the weights. 0: the model keeps no such averages.
    """
    momenta = [norm.momentum for norm in tracked_norms(model).values() if norm.momentum]
    return math.ceil(SETTLED / min(momenta)) if momenta else 0


def tracked_norms(model: nn.Module) -> dict[str, _BatchNorm]:
    """The BatchNorm modules that keep running statistics, by name, in the network's order."""
    return {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, _BatchNorm) and module.track_running_stats
    }


def check_batch(config: Config, model: nn.Module, processes: int = 1, device: torch.device | None = None) -> None:
    """Check that a network can be trained in batches of the config's size, by so many processes on such devices.

    Raises:
        ConfigError: of one image, which has no variance that BatchNorm could measure; of fewer images than processes;
            BatchNorm in processes on CPUs, each of which would normalise by its own part of a batch.
    """
    size, name = config.data.batch_size, config.model.name
    if size == 1 and has_trained_norms(model):
        raise ConfigError(f"data.batch_size: 1: {name} has BatchNorm, which needs more; raise it")
    if size < processes:
        raise ConfigError(f"data.batch_size: {size}: each of {processes} processes needs an image; raise it")
    if processes > 1 and device is not None and device.type == "cpu" and has_trained_norms(model):
        raise ConfigError(
            f"model.name: {name} has BatchNorm, which {processes} processes share on GPUs alone; take a network "
            "without it, such as shallow3 or timm/resnet50_gn, or one process"
        )


def synchronised(model: nn.Module, config: Config, processes: int) -> nn.Module:
    """A network of one of several processes: on a GPU its BatchNorm measures the whole batch, by torch's SyncBatchNorm.

    Raises:
        ConfigError: a BatchNorm of another kind, which could not be told to; or with `train.compile`.
    """
    norms = [module for module in model.modules() if isinstance(module, _BatchNorm)]
    if processes == 1 or not norms or next(model.parameters()).device.type == "cpu":
        return model
    if config.train.compile:
        raise ConfigError("train.compile: not where several processes share BatchNorm; set it false")
    name, known, convert = config.model.name, list(TORCH_NORMS), nn.SyncBatchNorm.convert_sync_batchnorm
    if name.partition("/")[0] == "timm":
        from timm import layers

        known, convert = [*known, layers.BatchNormAct2d], layers.convert_sync_batchnorm  # also with an activation
    other = next((type(each).__name__ for each in norms if type(each) not in known), None)
    if other is not None:
        raise ConfigError(f"model.name: {name}: its {other} is not torch's BatchNorm, which alone processes can share")
    found: nn.Module = convert(model)  # type: ignore[no-untyped-call]
    return found


def has_trained_norms(model: nn.Module) -> bool:
    """Whether a BatchNorm module takes its statistics from batches while training: one that is not frozen."""
    norms = [module for module in model.modules() if isinstance(module, _BatchNorm)]
    return any(norm.weight is None or norm.weight.requires_grad for norm in norms)


class _Sums:
    """After each forward pass, adds the statistics of its batch to a sum over all images, each of equal weight.

    On the device alone, so that a captured pass does it, too. Torch's own cumulative average (a momentum of None)
    weights batches, a small last one like a full one, and reads a number back from a GPU at every pass.
    """

    def __init__(self, norm: _BatchNorm) -> None:
        mean, var = _statistics(norm)
        self.mean, self.var, self.images = torch.zeros_like(mean), torch.zeros_like(var), torch.zeros_like(mean[:1])

    def clear(self) -> None:
        """Begin."""
        for each in (self.mean, self.var, self.images):
            each.zero_()

    def __call__(self, norm: _BatchNorm, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        """A forward hook."""
        mean, var = _statistics(norm)
        images = len(inputs[0])
        self.mean.add_(mean, alpha=images)
        self.var.add_(var, alpha=images)
        self.images.add_(images)

    def give(self, norm: _BatchNorm) -> None:
        """Make the averages the module's own."""
        mean, var = _statistics(norm)
        mean.copy_(self.mean / self.images)
        var.copy_(self.var / self.images)


def _statistics(norm: _BatchNorm) -> tuple[Tensor, Tensor]:
    assert norm.running_mean is not None and norm.running_var is not None
    return norm.running_mean, norm.running_var
