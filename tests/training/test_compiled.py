"""A compiled step is the step up to rounding; where nothing can be compiled, a line says so."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from hpcli import catalog
from hpcli.config import Config, with_overrides
from hpcli.errors import UsageError
from hpcli.training.captured import CapturedStep
from hpcli.training.compiled import compiled
from hpcli.training.step import CrossEntropy, Step
from hpcli.training.trainer import Trainer
from tests.training.test_trainer import digest, run

RESNET: dict[str, object] = {
    "model.name": "resnet20",
    "model.options.num_blocks": [1, 1, 1],
    "model.options.dropout": [0.1, 0.3],
}
COMPILED = {"train.compile": True}
needs_a_compiler = pytest.mark.skipif(shutil.which("g++") is None, reason="torch compiles with g++")


def gradients(trainer: Trainer, step: int) -> Tensor:
    """Of a step that is not taken, with that step's draws of dropout."""
    taken = trainer.take_step.step if isinstance(trainer.take_step, CapturedStep) else trainer.take_step
    torch.manual_seed(step)
    with trainer.numerics.active():
        taken.descend(*trainer.data.loader.batch(step))
    found = torch.cat([weight.grad.flatten() for weight in trainer.model.parameters() if weight.grad is not None])
    trainer.optimizer.torch_optimizer.zero_grad()
    return found.double()


@needs_a_compiler
@pytest.mark.parametrize(
    "settings", [pytest.param({}, marks=pytest.mark.slow, id="shallow3"), pytest.param(RESNET, id="resnet")]
)
def test_its_gradients_are_the_steps(config: Config, settings: dict[str, object]) -> None:
    """Along a run, to a hundred-thousandth, with dropout's draws: at 20 of its points."""
    config = with_overrides(config, settings)
    plain, fast = Trainer.from_config(config), Trainer.from_config(with_overrides(config, COMPILED))
    for step in range(20):
        fast.load_state_dict(plain.state_dict())
        one, other = gradients(plain, step), gradients(fast, step)
        assert (one - other).norm() < 1e-5 * one.norm()
        run(config, plain, step, step + 1)


@needs_a_compiler
def test_stopped_and_resumed_it_is_the_same_run_and_evaluates_the_plain_network(config: Config) -> None:
    config = with_overrides(config, {**RESNET, **COMPILED})
    whole, first, second = (Trainer.from_config(config) for _ in range(3))
    losses = run(config, whole)
    assert run(config, first, 0, 9) == losses[:9]
    second.load_state_dict(first.state_dict())
    assert run(config, second, 9) == losses[9:]
    assert digest(second.model.state_dict()) == digest(whole.model.state_dict())
    plain = Trainer.from_config(with_overrides(config, {"train.compile": False}), weights=whole.model.state_dict())
    assert whole.evaluate("valid") == plain.evaluate("valid")


class Overhanging(nn.Module):
    """What torch 2.14 gives a wrong gradient, compiled: windows of a mean that hang over the image's edge."""

    def __init__(self, hangs: bool = True) -> None:
        super().__init__()
        self.layer = nn.Linear(16, 10)
        self.scale = nn.Parameter(torch.ones(1, 8, 8))
        self.pool = nn.AvgPool2d(3, stride=2, ceil_mode=True, count_include_pad=hangs)

    def forward(self, images: Tensor) -> Tensor:
        found: Tensor = self.layer(self.pool(images * self.scale).sin().flatten(1))
        return found


@pytest.fixture
def _own_code(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalog, "allowed_code", {f"{__name__}:Overhanging"})


@pytest.mark.usefixtures("_own_code")
def test_so_many_networks_that_torch_would_give_up_are_compiled_all(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    """torch gives up after eight ways of one network, and goes on uncompiled without a word."""
    real = torch.compile
    monkeypatch.setattr(torch, "compile", lambda model, **_: real(model, dynamic=False, backend="aot_eager"))
    config = with_overrides(config, {"model.name": f"{__name__}:Overhanging", "model.options.hangs": False, **COMPILED})
    ways: Any = torch._dynamo.eval_frame._debug_get_cache_entry_list
    for size in range(4, 14):
        trainer = Trainer.from_config(with_overrides(config, {"data.batch_size": size}))
        run(config, trainer, 0, 2)
        assert isinstance(trainer.take_step, Step)
        assert trainer.take_step._forward is not trainer.model
        assert len(ways(Overhanging.forward.__code__)) == 2  # the check, and the step


@needs_a_compiler
@pytest.mark.usefixtures("_own_code")
def test_what_is_compiled_to_another_network_is_refused(config: Config) -> None:
    """Either torch has been mended, and the two agree, or the first step refuses it."""
    config = with_overrides(config, {"model.name": f"{__name__}:Overhanging"})
    plain, fast = Trainer.from_config(config), Trainer.from_config(with_overrides(config, COMPILED))
    try:
        assert run(config, fast) == pytest.approx(run(config, plain), rel=1e-3)
    except UsageError as error:
        assert "compiles the network to another one (its gradient differs by" in str(error)


def test_a_wrong_gradient_is_refused_and_a_loss_that_is_no_number_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """By a compiler that is wrong for sure."""
    model, images, labels = nn.Linear(3, 2), torch.randn(4, 3), torch.tensor([0, 1, 0, 1])
    monkeypatch.setattr(torch, "compile", lambda model, **_: lambda images: model(images) * torch.tensor([1.0, 1.3]))
    with pytest.raises(UsageError, match=r"its gradient differs by \d+\.\d\d%\); set it false"):
        compiled(model, CrossEntropy(), images, labels)
    assert model.weight.grad is None
    assert model.weight.dtype == torch.float32
    images[0] = torch.nan
    compiled(model, CrossEntropy(), images, labels)


class OneFloat(nn.Module):
    """A network with a constant in float32: it does not run in float64."""

    def forward(self, images: Tensor) -> Tensor:
        return images @ torch.ones(3, 2)


def test_a_network_that_cannot_be_compared_is_refused_in_a_line() -> None:
    with pytest.raises(UsageError, match=r"^train.compile: the network does not run in float64 \(.*\); set it false$"):
        compiled(OneFloat(), CrossEntropy(), torch.randn(4, 3), torch.tensor([0, 1, 0, 1]))


def test_a_memory_that_is_used_up_stays_that(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_room(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")

    with pytest.raises(torch.OutOfMemoryError):
        compiled(nn.Linear(3, 2), no_room, torch.randn(4, 3), torch.tensor([0, 1, 0, 1]))  # type: ignore[arg-type]


def test_without_a_compiler_a_line_says_so(tmp_path: Path) -> None:
    command = [
        *(sys.executable, "-m", "hpcli", "train", "--set", "train.compile=true", "--set", "model.name=shallow3"),
        *("--epochs", "1", "--device", "cpu", "--out", str(tmp_path / "run")),
    ]
    environment = {**os.environ, "CXX": "/no/such/compiler", "TORCHINDUCTOR_CACHE_DIR": str(tmp_path / "cache")}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 2
    assert "error: train.compile: torch cannot compile the network here (InvalidCxxCompiler" in done.stderr
    assert "set it false" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.gpu
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of torch's own code, which its compiler imports
def test_on_a_gpu_it_is_captured_too(config: Config) -> None:
    config = with_overrides(config, {**RESNET, **COMPILED, "train.deterministic": True, "train.precision": "fp32"})
    plain = Trainer.from_config(with_overrides(config, {"train.compile": False}), device="cuda")
    replayed = Trainer.from_config(config, device="cuda")
    losses = run(config, replayed)
    assert isinstance(replayed.take_step, CapturedStep)
    assert replayed.take_step.descend.is_replayed
    replayed.reset(config.seed)
    assert run(config, replayed) == losses
    for step in range(20):
        plain.load_state_dict(replayed.state_dict())
        one, other = gradients(plain, step), gradients(replayed, step)
        assert (one - other).norm() < 1e-4 * one.norm()
