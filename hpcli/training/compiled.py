"""The network of a training step, compiled: fewer and larger kernels, the same function up to rounding."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch._dynamo.exc import TorchDynamoException

from hpcli.errors import UsageError, lacks_memory
from hpcli.training import device as devices

Forward = Callable[[Tensor], Tensor]
"""Images [B, C, H, W] → logits [B, K]."""
CHECKED = 8
"""Images whose gradient is compared."""
ROUNDING = 1e-5
"""Relative difference up to which two gradients in float64, of a loss in float32, are the same."""


def compiled(model: nn.Module, loss: Callable[[Tensor, Tensor], Tensor], images: Tensor, labels: Tensor) -> Forward:
    """`torch.compile` of a model, which it shares the weights with; dropout draws what it would draw uncompiled.

    What torch makes of the model is first held to the model itself, by the gradient of a few images: it has compiled
    layers to a wrong gradient without a word (pytorch/pytorch#198119: AvgPool2d with ceil_mode). That is done in
    float64, as a ReLU close to 0 may open or close by rounding, and in bfloat16 a deep network's first gradients are
    little else. So there are two compilations, of a minute each for a deep network; both are kept on the disk.

    Args:
        model: a network, in training mode.
        loss: logits [B, K] as float32 and labels [B] → a scalar.
        images: float32 [B, C, H, W].
        labels: int64 [B].

    Raises:
        UsageError: there is no compiler that works, the network does not run in float64, or what it is compiled to has
            another gradient.
    """
    # Torch advises another precision than `train.precision`, when it compiles for a GPU.
    warnings.filterwarnings("ignore", "TensorFloat32 tensor cores", UserWarning)
    torch.compiler.reset()  # after eight networks that differ a little torch goes on uncompiled, without a word
    try:
        difference = _difference(copy.deepcopy(model).double(), loss, images[:CHECKED].double(), labels[:CHECKED])
    except RuntimeError as error:  # torch's compiler has such errors of its own
        if lacks_memory(error):
            raise
        is_compilers = isinstance(error, TorchDynamoException)
        what = "torch cannot compile the network here" if is_compilers else "the network does not run in float64"
        why = (str(error).splitlines() or [type(error).__name__])[0]
        raise UsageError(f"train.compile: {what} ({why}); set it false") from error
    if difference > ROUNDING:
        raise UsageError(
            f"train.compile: torch {torch.__version__} compiles the network to another one (its gradient differs by "
            f"{difference:.2%}); set it false"
        )
    return _compile(model)


def _compile(model: nn.Module) -> Forward:
    forward: Forward = torch.compile(model, dynamic=False, options={"fallback_random": True})
    return forward


def _difference(model: nn.Module, loss: Callable[[Tensor, Tensor], Tensor], images: Tensor, labels: Tensor) -> float:
    """Between the gradients of a network and of what it is compiled to, as a share of the first."""
    weights, found = [each for each in model.parameters() if each.requires_grad], []
    for forward in (model, _compile(model)):
        with devices.generators_kept():
            gradients = torch.autograd.grad(loss(forward(images).float(), labels), weights, allow_unused=True)
        found.append(torch.cat([each.flatten() for each in gradients if each is not None]))
    plain, fast = found
    return float((plain - fast).norm() / plain.norm())
