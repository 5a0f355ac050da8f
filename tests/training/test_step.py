"""A step of ours equals a step of torch's plain, unfused optimizers."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hpcli.config.schema import OptimizerConfig
from hpcli.models import build_model
from hpcli.training.numerics import Numerics
from hpcli.training.optimizer import Optimizer
from hpcli.training.step import CrossEntropy, Step

CPU = Numerics(torch.device("cpu"))
Parameters = Iterable[nn.Parameter]
STEPS = [(1e-3, 0.95), (5e-3, 0.9), (1e-2, 0.85), (4e-3, 0.9)]


def sgd(parameters: Parameters) -> torch.optim.Optimizer:
    return torch.optim.SGD(parameters, lr=1.0, momentum=0.9, weight_decay=0.05, fused=False, foreach=False)


def nesterov(parameters: Parameters) -> torch.optim.Optimizer:
    return torch.optim.SGD(
        parameters, lr=1.0, momentum=0.9, nesterov=True, weight_decay=0.05, fused=False, foreach=False
    )


def adamw(parameters: Parameters) -> torch.optim.Optimizer:
    return torch.optim.AdamW(parameters, betas=(0.9, 0.99), eps=1e-8, weight_decay=0.05, fused=False, foreach=False)


def adam(parameters: Parameters) -> torch.optim.Optimizer:
    return torch.optim.Adam(parameters, betas=(0.9, 0.99), eps=1e-8, weight_decay=0.05, fused=False, foreach=False)


CASES = [
    (adamw, {"name": "adamw", "decay": "decoupled"}),
    (adam, {"name": "adamw", "decay": "coupled"}),
    (sgd, {"name": "sgd", "decay": "coupled"}),
    (nesterov, {"name": "sgd", "decay": "coupled", "nesterov": True}),
]


def model() -> nn.Module:
    torch.manual_seed(0)
    return build_model("shallow3", num_classes=10, in_channels=1, image_size=(8, 8))


def ours(network: nn.Module, settings: dict[str, object]) -> Optimizer:
    return Optimizer.from_config(network, OptimizerConfig(weight_decay=0.05, **settings))  # type: ignore[arg-type]


def set_row(optimizer: torch.optim.Optimizer, lr: float, momentum: float) -> None:
    group = optimizer.param_groups[0]
    group["lr"] = lr
    group.update({"betas": (momentum, 0.99)} if "betas" in group else {"momentum": momentum})


@pytest.mark.parametrize(("reference", "settings"), CASES)
def test_an_update_is_torchs_plain_one(
    reference: Callable[[Parameters], torch.optim.Optimizer], settings: dict[str, object]
) -> None:
    """Same gradients, learning rate and momentum changing from step to step."""
    plain = model()
    fast = copy.deepcopy(plain).to(memory_format=torch.channels_last)
    optimizer, update = reference(plain.parameters()), ours(fast, settings)
    generator = torch.Generator().manual_seed(1)
    for lr, momentum in STEPS:
        for one, other in zip(plain.parameters(), fast.parameters(), strict=True):
            one.grad = torch.randn(one.shape, generator=generator)
            other.grad = torch.empty_like(other).copy_(one.grad)  # in the weight's own layout, as autograd has it
        set_row(optimizer, lr, momentum)
        optimizer.step()
        update.step(lr, momentum)
    for one, other in zip(plain.parameters(), fast.parameters(), strict=True):
        assert torch.allclose(one, other, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(("reference", "settings"), CASES[2:])
def test_a_whole_step_is_the_textbooks(
    reference: Callable[[Parameters], torch.optim.Optimizer], settings: dict[str, object]
) -> None:
    """Forward, backward and update. (Adam's first updates turn rounding into signs, so SGD shows it.)"""
    plain = model()
    fast = copy.deepcopy(plain).to(memory_format=torch.channels_last)
    optimizer, take_step = reference(plain.parameters()), Step(fast, ours(fast, settings), CrossEntropy(), numerics=CPU)
    generator = torch.Generator().manual_seed(1)
    for lr, momentum in STEPS:
        images = torch.randn(16, 1, 8, 8, generator=generator)
        labels = torch.randint(0, 10, (16,), generator=generator)
        set_row(optimizer, lr, momentum)
        optimizer.zero_grad()
        loss = F.cross_entropy(plain(images), labels)
        loss.backward()
        optimizer.step()
        assert take_step(images, labels, lr, momentum).item() == pytest.approx(loss.item(), rel=1e-5)
    for one, other in zip(plain.parameters(), fast.parameters(), strict=True):
        assert torch.allclose(one, other, rtol=1e-4, atol=1e-6)


def one_weight(decay: str, name: str = "sgd", **settings: object) -> tuple[nn.Linear, Optimizer]:
    layer = nn.Linear(1, 1)
    nn.init.constant_(layer.weight, 2.0)
    nn.init.constant_(layer.bias, 3.0)
    return layer, Optimizer.from_config(layer, OptimizerConfig(name=name, decay=decay, weight_decay=0.1, **settings))  # type: ignore[arg-type]


def step_without_gradient(layer: nn.Linear, optimizer: Optimizer, lr: float) -> None:
    for weight in layer.parameters():
        weight.grad = torch.zeros_like(weight)
    optimizer.step(lr, 0.9)


@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_decoupled_decay_shrinks_by_lr_times_decay(name: str) -> None:
    layer, optimizer = one_weight("decoupled", name)
    for _ in range(3):
        step_without_gradient(layer, optimizer, 0.5)
    assert layer.weight.item() == pytest.approx(2.0 * (1 - 0.05) ** 3, rel=1e-6)


def test_coupled_decay_of_sgd_goes_through_the_momentum() -> None:
    layer, optimizer = one_weight("coupled")
    weight, buffer = 2.0, 0.0
    for _ in range(5):
        step_without_gradient(layer, optimizer, 0.5)
        buffer = 0.9 * buffer + 0.1 * weight
        weight -= 0.5 * buffer
    assert layer.weight.item() == pytest.approx(weight, rel=1e-5)


@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_biases_can_be_spared(name: str) -> None:
    layer, optimizer = one_weight("decoupled", name, decay_norm_and_bias=False)
    step_without_gradient(layer, optimizer, 0.5)
    assert layer.weight.item() == pytest.approx(1.9)
    assert layer.bias.item() == 3.0


def test_the_gradients_norm_is_clipped() -> None:
    layer = nn.Linear(4, 2, bias=False)
    before = layer.weight.detach().clone()
    optimizer = Optimizer.from_config(layer, OptimizerConfig(name="sgd", weight_decay=0.0))
    step = Step(layer, optimizer, CrossEntropy(), numerics=CPU, clip_norm=0.01)
    step(100 * torch.ones(3, 4), torch.tensor([0, 1, 0]), 1.0, 0.0)
    assert (layer.weight - before).norm().item() == pytest.approx(0.01, rel=1e-3)


@pytest.mark.parametrize("clip_norm", [None, 1e-3, 1e3])
def test_the_norm_is_that_of_the_whole_gradient_before_clipping(clip_norm: float | None) -> None:
    """Measured or not, clipped or not, the step is the same; frozen weights have no part in it."""
    images, labels = torch.randn(8, 1, 8, 8, generator=torch.Generator().manual_seed(1)), torch.arange(8)
    plain, measured = model(), model()
    for each in (plain, measured):
        next(each.parameters()).requires_grad_(False)
    steps = [
        Step(each, ours(each, {}), CrossEntropy(), numerics=CPU, clip_norm=clip_norm) for each in (plain, measured)
    ]
    steps[1].norms = True
    by_hand = model()
    next(by_hand.parameters()).requires_grad_(False)
    F.cross_entropy(by_hand(images), labels).backward()
    flat = torch.cat([weight.grad.flatten() for weight in by_hand.parameters() if weight.grad is not None])
    assert steps[1].grad_norm is None
    losses = [step(images, labels, 1e-3, 0.9) for step in steps]
    assert steps[1].grad_norm is not None
    assert steps[1].grad_norm.item() == pytest.approx(flat.norm().item(), rel=1e-5)
    assert (steps[0].grad_norm is None) == (clip_norm is None)
    assert torch.equal(*losses)
    for one, other in zip(plain.parameters(), measured.parameters(), strict=True):
        assert torch.equal(one, other)


def test_label_smoothing_raises_the_loss_of_a_sure_guess() -> None:
    layer = nn.Linear(1, 2, bias=False)
    layer.weight.data = torch.tensor([[50.0], [-50.0]])
    losses = []
    for smoothing in (0.0, 0.1):
        optimizer = Optimizer.from_config(layer, OptimizerConfig(name="sgd", weight_decay=0.0))
        step = Step(layer, optimizer, CrossEntropy(smoothing), numerics=CPU)
        losses.append(step(torch.ones(1, 1), torch.tensor([0]), 0.0, 0.0).item())
    assert losses[0] < 1e-6
    assert losses[1] == pytest.approx(5.0, rel=1e-4)


def test_any_loss_of_logits_and_labels_is_descended() -> None:
    """It gets logits in single precision, whatever they were computed in; what it says is what is returned."""
    layer = nn.Linear(2, 3, bias=False)
    before, seen = layer.weight.detach().clone(), []

    def sum_of_logits(logits: Tensor, labels: Tensor) -> Tensor:
        seen.append((logits.dtype, labels.tolist()))
        return logits.sum()

    optimizer = Optimizer.from_config(layer, OptimizerConfig(name="sgd", weight_decay=0.0))
    bf16 = Numerics(torch.device("cpu"), torch.bfloat16)
    step = Step(layer, optimizer, sum_of_logits, numerics=bf16)
    loss = step(torch.ones(1, 2), torch.tensor([2]), 0.5, 0.0)
    assert seen == [(torch.float32, [2])]
    assert loss.item() == pytest.approx(before.sum().item(), abs=0.02)
    assert torch.allclose(layer.weight, before - 0.5)


def test_the_optimizer_may_be_one_of_torchs_own() -> None:
    """Its learning rate and momentum are set at every step; a group that is spared keeps its decay of none."""
    layer = nn.Linear(1, 1)
    groups: list[dict[str, Any]] = [
        {"params": [layer.weight]},
        {"params": [layer.bias], "spared": True, "weight_decay": 0.0},
    ]
    optimizer = Optimizer(torch.optim.SGD(groups, lr=7.0, momentum=0.5))
    optimizer.set_weight_decay(0.25)
    assert [group["weight_decay"] for group in optimizer.torch_optimizer.param_groups] == [0.25, 0.0]
    step_without_gradient(layer, optimizer, 0.125)
    assert [(group["lr"], group["momentum"]) for group in optimizer.torch_optimizer.param_groups] == [(0.125, 0.9)] * 2


def test_the_weight_decay_can_be_changed_and_moments_forgotten() -> None:
    for decay, name in (("decoupled", "sgd"), ("decoupled", "adamw"), ("coupled", "sgd")):
        layer, optimizer = one_weight(decay, name, decay_norm_and_bias=False)
        optimizer.set_weight_decay(0.5)
        step_without_gradient(layer, optimizer, 0.5)
        assert layer.weight.item() == pytest.approx(2.0 * (1 - 0.25))
        assert layer.bias.item() == 3.0
        assert optimizer.state_dict()["state"] != {}
        optimizer.reset()
        assert optimizer.state_dict()["state"] == {}
        assert layer.weight.grad is None
