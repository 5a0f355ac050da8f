"""BatchNorm folded into the convolution before it: in evaluation it is a factor and a shift a channel."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, fx, nn
from torch.nn.utils import fuse_conv_bn_weights

Pair = tuple[nn.Conv2d, nn.BatchNorm2d, nn.Conv2d]
"""A convolution, the BatchNorm after it, and the two in one."""


class FoldedNetwork:
    """A network with BatchNorm folded into its convolutions, for many evaluations with changing weights.

    Every layer is the network's own but the convolutions that a BatchNorm alone follows: those are copies, and
    `refresh` brings them up to date. A network that cannot be traced, or does not come out the same, is used as it is.
    """

    def __init__(self, model: nn.Module, images: Tensor) -> None:
        """Look for the pairs, and compare both ways through.

        Args:
            model: in evaluation mode.
            images: float32 [B, C, H, W] to compare on.
        """
        self.model: nn.Module = model
        self.pairs: list[Pair] = []
        try:
            traced = fx.symbolic_trace(model)
            pairs = _fold(traced)
        except Exception:  # whatever a network of the user's does that tracing cannot follow
            return
        with torch.inference_mode():
            self.pairs = pairs
            self.refresh()
            if torch.allclose(traced(images), model(images), rtol=1e-3, atol=1e-4):
                self.model = traced
            else:
                self.pairs = []

    def refresh(self) -> None:
        """Take over the network's present weights and statistics."""
        with torch.no_grad():
            for conv, norm, folded in self.pairs:
                assert norm.running_mean is not None and norm.running_var is not None
                weight, bias = fuse_conv_bn_weights(
                    conv.weight, conv.bias, norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias
                )
                assert folded.bias is not None
                folded.weight.copy_(weight)
                folded.bias.copy_(bias)

    def __call__(self, images: Tensor) -> Tensor:
        """[B, C, H, W] → logits [B, K]."""
        logits: Tensor = self.model(images)
        return logits


def _fold(traced: fx.GraphModule) -> list[Pair]:
    """Replace every convolution whose output goes to a BatchNorm alone, and that BatchNorm, by one convolution."""
    modules = dict(traced.named_modules())
    pairs: list[Pair] = []
    for node in list(traced.graph.nodes):
        before = node.args[0] if node.op == "call_module" and node.args else None
        if not isinstance(before, fx.Node) or before.op != "call_module" or len(before.users) > 1:
            continue
        conv, norm = modules[str(before.target)], modules[str(node.target)]
        if type(conv) is nn.Conv2d and type(norm) is nn.BatchNorm2d and norm.track_running_stats:
            folded = copy.deepcopy(conv)
            folded.bias = nn.Parameter(conv.weight.new_zeros(conv.out_channels))
            name = f"folded_{len(pairs)}"
            traced.add_submodule(name, folded)
            modules[name] = folded
            before.target = name
            node.replace_all_uses_with(before)
            traced.graph.erase_node(node)
            pairs.append((conv, norm, folded))
    traced.recompile()
    return pairs
