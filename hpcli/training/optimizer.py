"""torch's own optimizers, their learning rate and momentum set anew for every step."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from hpcli.config.schema import OptimizerConfig


class Optimizer:
    """AdamW (its β1 is the momentum) or SGD, with decoupled or coupled weight decay.

    | | decoupled: w ← w − lr·wd·w, then the step | coupled: wd·w joins the gradient |
    |---|---|---|
    | adamw | torch.optim.AdamW | torch.optim.Adam |
    | sgd | SGDW (Loshchilov & Hutter, 1711.05101), without decay in torch.optim.SGD | torch.optim.SGD |
    """

    def __init__(self, torch_optimizer: torch.optim.Optimizer, *, decays_itself: bool = False) -> None:
        """Drive one of torch's optimizers.

        Args:
            torch_optimizer: with betas or a momentum in its groups. A group that has `spared` true is not decayed.
            decays_itself: take the decay off the weights here, where torch's optimizer knows the coupled one alone.
        """
        self.decays_itself = decays_itself
        self.torch_optimizer = torch_optimizer

    @classmethod
    def from_config(cls, model: nn.Module, config: OptimizerConfig) -> Optimizer:
        """As the section `optimizer` says, for a model's trainable weights."""
        decays_itself = config.name == "sgd" and config.decay == "decoupled"
        optimizer = cls(_build(_groups(model, config), config), decays_itself=decays_itself)
        optimizer.set_weight_decay(config.weight_decay)
        return optimizer

    def step(self, lr: float, momentum: float) -> None:
        """Update the weights from their gradients, and clear those."""
        for group in self.torch_optimizer.param_groups:
            group["lr"] = lr
            if "betas" in group:
                group["betas"] = (momentum, group["betas"][1])
            else:
                group["momentum"] = momentum
            if self.decays_itself and group.get("decoupled_decay"):
                with torch.no_grad():
                    torch._foreach_mul_(group["params"], 1 - lr * group["decoupled_decay"])
        self.torch_optimizer.step()
        self.torch_optimizer.zero_grad(set_to_none=True)

    def set_weight_decay(self, weight_decay: float) -> None:
        """From now on decay with this strength; spared weights stay spared."""
        for group in self.torch_optimizer.param_groups:
            if not group.get("spared"):
                group["decoupled_decay" if self.decays_itself else "weight_decay"] = weight_decay

    def state_dict(self) -> dict[str, Any]:
        """The torch optimizer's: the moments of every weight, and the groups' settings."""
        return self.torch_optimizer.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state_dict`."""
        self.torch_optimizer.load_state_dict(state)

    def reset(self) -> None:
        """Forget all moments."""
        self.torch_optimizer.state.clear()
        self.torch_optimizer.zero_grad(set_to_none=True)


def _groups(model: nn.Module, config: OptimizerConfig) -> list[dict[str, Any]]:
    """Trainable weights in one group, or in two where normalisation weights and biases are spared the decay."""
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    if config.decay_norm_and_bias:
        groups = [(weights, False)]
    else:
        groups = [([w for w in weights if w.ndim > 1], False), ([w for w in weights if w.ndim <= 1], True)]
    none = {"weight_decay": 0.0, "decoupled_decay": 0.0}
    return [{"params": params, "spared": spared, **none} for params, spared in groups if params]


def _build(groups: list[dict[str, Any]], config: OptimizerConfig) -> torch.optim.Optimizer:
    if config.name == "sgd":
        # A momentum above 0 at construction satisfies Nesterov's check; every step sets its own.
        return torch.optim.SGD(groups, lr=0.0, momentum=0.9, nesterov=config.nesterov, fused=True)
    kind = torch.optim.AdamW if config.decay == "decoupled" else torch.optim.Adam
    return kind(groups, lr=0.0, betas=(0.9, config.beta2), eps=config.eps, fused=True)
