"""torch's own optimizers and those of libraries, their learning rate and momentum set anew for every step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from hpcli.config.optimizers import CONTROLS, is_timm
from hpcli.config.schema import OptimizerConfig
from hpcli.training.control_optimizer import control_optimizer
from hpcli.training.timm_optimizer import timm_optimizer

DECAY_KEYS = ("weight_decay", "decoupled_decay")


class Optimizer:
    """AdamW (its β1 is the momentum) or SGD, with decoupled or coupled weight decay.

    | | decoupled: w ← w − lr·wd·w, then the step | coupled: wd·w joins the gradient |
    |---|---|---|
    | adamw | torch.optim.AdamW | torch.optim.Adam |
    | sgd | SGDW (Loshchilov & Hutter, 1711.05101), without decay in torch.optim.SGD | torch.optim.SGD |

    And those of libraries, each with the decay that it has: config/optimizers.py. The momentum goes to every place that
    a group has for one: the first of its betas, its momentum, or both, as in Muon, whose betas are those of AdamW for
    vectors.
    """

    def __init__(self, torch_optimizer: torch.optim.Optimizer, *, decays_itself: bool = False) -> None:
        """Drive one of torch's optimizers.

        Args:
            torch_optimizer: with betas or a momentum in its groups. A group that has `spared` true is not decayed.
            decays_itself: take the decay off the weights here, where torch's optimizer knows the coupled one alone.
        """
        self.decays_itself = decays_itself
        self.torch_optimizer = torch_optimizer
        self.peak_lr: float | None = None
        """The highest learning rate of the run, which a corrected decay is relative to; None: each step's own."""
        if self.averages:
            torch_optimizer.train()  # type: ignore[attr-defined]
        self._begins = [{key: group[key] for key in group if key != "params"} for group in torch_optimizer.param_groups]

    @classmethod
    def from_config(cls, model: nn.Module, config: OptimizerConfig) -> Optimizer:
        """As the section `optimizer` says, for a model's trainable weights.

        Raises:
            ConfigError: an optimizer of a library that cannot be had, or not with these options.
        """
        decays_itself = config.name == "sgd" and config.decay == "decoupled"
        groups = _groups(model, config, DECAY_KEYS if decays_itself else DECAY_KEYS[:1])
        optimizer = cls(_build(groups, config), decays_itself=decays_itself)
        optimizer.set_weight_decay(config.weight_decay)
        return optimizer

    @property
    def averages(self) -> bool:
        """Whether it is schedule-free: its average of the weights is to be evaluated, not where it takes gradients."""
        return "train_mode" in self.torch_optimizer.param_groups[0]

    def step(self, lr: float, momentum: float) -> None:
        """Update the weights from their gradients, and clear those."""
        for group in self.torch_optimizer.param_groups:
            group["lr"] = lr
            group.update(_momenta(group, momentum))
            if group.get("corrected_weight_decay"):
                group["max_lr_snapshot"] = lr if self.peak_lr is None else self.peak_lr
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
        """Go on from `state_dict`, without gradients."""
        self.torch_optimizer.load_state_dict(state)
        self.torch_optimizer.zero_grad(set_to_none=True)

    def reset(self) -> None:
        """Forget all moments, and what an optimizer counts in its groups."""
        self.torch_optimizer.state.clear()
        for group, begins in zip(self.torch_optimizer.param_groups, self._begins, strict=False):
            for key in [key for key in group if key not in begins and key != "params"]:
                del group[key]
            group.update({key: value for key, value in begins.items() if key not in DECAY_KEYS})
        self.torch_optimizer.zero_grad(set_to_none=True)


def _momenta(group: dict[str, Any], momentum: float) -> dict[str, object]:
    """A group's settings that are a momentum, set to this one."""
    betas: dict[str, object] = {key: (momentum, *group[key][1:]) for key in ("betas", "betas_1d") if key in group}
    return {**betas, "momentum": momentum} if "momentum" in group else betas


def _groups(model: nn.Module, config: OptimizerConfig, decay_keys: Sequence[str]) -> list[dict[str, Any]]:
    """Trainable weights in one group, or in two where normalisation weights and biases are spared the decay."""
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    if config.decay_norm_and_bias:
        groups = [(weights, False)]
    else:
        groups = [([w for w in weights if w.ndim > 1], False), ([w for w in weights if w.ndim <= 1], True)]
    none = dict.fromkeys(decay_keys, 0.0)
    return [{"params": params, "spared": spared, **none} for params, spared in groups if params]


def _build(groups: list[dict[str, Any]], config: OptimizerConfig) -> torch.optim.Optimizer:
    if is_timm(config.name):
        return timm_optimizer(config.name, groups, config.options)
    if config.name in CONTROLS:
        return control_optimizer(config.name, groups, config.options)
    if config.name == "sgd":
        # A momentum above 0 at construction satisfies Nesterov's check; every step sets its own.
        return torch.optim.SGD(groups, lr=0.0, momentum=0.9, nesterov=config.nesterov, fused=True)
    kind = torch.optim.AdamW if config.decay == "decoupled" else torch.optim.Adam
    return kind(groups, lr=0.0, betas=(0.9, config.beta2), eps=config.eps, fused=True)
