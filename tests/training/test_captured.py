"""A captured step is the step itself: on an emulated graph here, on CUDA's where there is a GPU."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec

import pytest
import torch
from torch import Tensor, nn

from hpcli import catalog
from hpcli.config import Config, with_overrides
from hpcli.errors import HpcliWarning
from hpcli.training.batchnorm import Reestimation
from hpcli.training.captured import WARM_UP, Captured, CapturedStep, is_captured
from hpcli.training.schedules import training_schedule
from hpcli.training.step import Step
from hpcli.training.trainer import Trainer
from tests.training.cpu_graph import CpuGraph
from tests.training.test_trainer import digest, run

RESNET = {"model.name": "resnet20", "model.options.num_blocks": [1, 1, 1]}
SETTINGS: list[dict[str, object]] = [
    {**RESNET, "data.augment": "standard", "model.options.dropout": [0.1, 0.3]},
    {"data.augment": "source", "optimizer.name": "sgd", "optimizer.decay_norm_and_bias": False},
    {**RESNET, "optimizer.name": "sgd", "optimizer.decay": "coupled", "train.clip_norm": 1.0,
     "train.label_smoothing": 0.1},
    {**RESNET, "model.freeze": "body", "record.grad_norm": True},
    {"train.mixup": 0.4, "train.cutmix": 1.0},
]  # fmt: skip
MUON = pytest.param(
    {"optimizer.name": "timm/muon"},
    marks=pytest.mark.skipif(find_spec("timm") is None, reason="timm is not installed"),
)


FREE = pytest.param(
    {**RESNET, "optimizer.name": "schedulefree_adamw", "schedule.name": "constant", "schedule.momentum": 0.9},
    marks=pytest.mark.skipif(find_spec("schedulefree") is None, reason="schedulefree is not installed"),
)


def captured(trainer: Trainer) -> CpuGraph:
    """Give a trainer on the CPU a captured step; the graph."""
    assert isinstance(trainer.take_step, Step)
    graph = CpuGraph(list(trainer.model.buffers()))
    trainer.take_step = CapturedStep(trainer.take_step, lambda: graph)
    return graph


@pytest.mark.parametrize("settings", [*SETTINGS, MUON, FREE], ids=str)
def test_replays_are_the_steps_bit_for_bit(config: Config, settings: dict[str, object]) -> None:
    """Over three passes, with learning rate and momentum in motion, and dropout."""
    config = with_overrides(config, settings)
    plain, fast = Trainer.from_config(config), Trainer.from_config(config)
    graph = captured(fast)
    assert run(config, fast) == run(config, plain)
    assert (graph.captures, graph.replays) == (1, 21 - WARM_UP)
    for part in ("model", "optimizer"):
        assert digest(fast.state_dict()[part]) == digest(plain.state_dict()[part])


@pytest.mark.parametrize("settings", [{"record.grad_norm": True}, {"train.clip_norm": 1.0}], ids=str)
def test_norms_of_replays_are_those_of_the_steps(config: Config, settings: dict[str, object]) -> None:
    config = with_overrides(config, {**RESNET, **settings})
    plain, fast = Trainer.from_config(config), Trainer.from_config(config)
    captured(fast)
    schedule = training_schedule(config, plain.data.steps_per_epoch)
    found = [[report.grad_norm(report.step) for report in each.train(schedule)] for each in (plain, fast)]
    assert found[0] == found[1]
    assert len(set(found[0])) == 21


def test_another_seed_and_a_state_that_is_loaded_take_the_same_graph(config: Config) -> None:
    config = with_overrides(config, SETTINGS[0])
    plain, fast = Trainer.from_config(config), Trainer.from_config(config)
    graph = captured(fast)
    run(config, fast, 0, 6)
    for trainer in (plain, fast):
        trainer.reset(5)
        trainer.optimizer.set_weight_decay(0.3)
    assert run(config, fast, 0, 9) == run(config, plain, 0, 9)
    state = plain.state_dict()
    run(config, fast, 9, 12)
    fast.load_state_dict(state)
    assert run(config, fast, 9) == run(config, plain, 9)
    assert graph.captures == 1
    assert digest(fast.state_dict()["model"]) == digest(plain.state_dict()["model"])


def test_evaluations_between_the_steps_change_nothing(config: Config) -> None:
    config = with_overrides(config, SETTINGS[0])
    plain, fast = Trainer.from_config(config), Trainer.from_config(config)
    captured(fast)
    losses: list[float] = []
    for start in (0, 5, 10, 15):
        losses += run(config, fast, start, start + 5)
        fast.evaluate("valid", bn_images=50)
    assert losses == run(config, plain, 0, 20)


def weights_in_motion(trainer: Trainer, measure: Callable[[], object]) -> list[object]:
    """What is measured with four sets of weights, which change in place."""
    found = []
    for seed in range(4):
        trainer.reset(seed)
        found.append(measure())
    return found


def statistics(trainer: Trainer, reestimation: Reestimation, images: Tensor) -> list[tuple[str, bytes]]:
    """BatchNorm's, measured anew in batches of 16; the last one has 5."""
    with reestimation.on(images.split(16)):
        return [(name, each.numpy().tobytes()) for name, each in trainer.model.named_buffers() if "running" in name]


def test_batchnorm_is_measured_anew_by_replays(config: Config) -> None:
    """Of each size of batch, by whatever the weights are by then; a network that reads a number goes on as it is."""
    trainer = Trainer.from_config(with_overrides(config, SETTINGS[0]))
    trainer.model.eval()
    images = torch.randn(53, 1, 8, 8)
    graphs: list[CpuGraph] = []

    def graph() -> CpuGraph:
        sums = [each for sums in fast._sums for each in (sums.mean, sums.var, sums.images)]
        graphs.append(CpuGraph([*trainer.model.buffers(), *sums]))
        return graphs[-1]

    plain, fast = Reestimation(trainer.model), Reestimation(trainer.model, graph=graph)
    expected = weights_in_motion(trainer, lambda: statistics(trainer, plain, images))
    assert weights_in_motion(trainer, lambda: statistics(trainer, fast, images)) == expected
    assert [(each.captures, each.replays) for each in graphs] == [(1, 4 * 3 - 1), (1, 4 - 1)]
    trainer.model.conv1.register_forward_hook(lambda _, __, out: out if out.sum().item() else out * 2)  # type: ignore[union-attr]
    fast._passes.clear()
    assert weights_in_motion(trainer, lambda: statistics(trainer, fast, images)) == expected
    assert [each.captures for each in graphs] == [1, 1, 0, 0]


@pytest.fixture
def _own_code(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalog, "allowed_code", {f"{__name__}:Reads", f"{__name__}:ReadsLater"})


def test_what_is_dropped_is_gone_at_once(config: Config) -> None:
    """The memory of a GPU is wanted for the next trainer: it does not wait until Python looks for circles."""
    for steps in (2, 6):
        trainer = Trainer.from_config(with_overrides(config, RESNET))
        graph = captured(trainer)
        trainer._reestimation = Reestimation(trainer.model, graph=lambda graph=graph: graph)  # type: ignore[misc]
        run(config, trainer, 0, steps)
        trainer.evaluate("valid", bn_images=50)
        dropped = [weakref.ref(each) for each in (trainer.take_step, trainer.model)]
        del graph
        gc.disable()
        try:
            del trainer
            assert [each() for each in dropped] == [None, None]
        finally:
            gc.enable()


class Reads(nn.Module):
    """A network that asks the device for a number."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(64, 10)

    def forward(self, images: Tensor) -> Tensor:
        found: Tensor = self.layer(images.flatten(1))
        return found if found.sum().item() else found * 2


class ReadsLater(Reads):
    """Only once it has been captured: after its builder's check and the steps that warm up."""

    calls = -1

    def forward(self, images: Tensor) -> Tensor:
        self.calls += 1
        return super().forward(images) if self.calls > WARM_UP else self.layer(images.flatten(1))


@pytest.mark.usefixtures("_own_code")
@pytest.mark.parametrize("network", ["Reads", "ReadsLater"])
def test_a_network_that_reads_a_number_goes_on_uncaptured_and_it_is_said_once(config: Config, network: str) -> None:
    config = with_overrides(config, {"model.name": f"{__name__}:{network}"})
    plain, fast = Trainer.from_config(config), Trainer.from_config(config)
    graph = captured(fast)
    with pytest.warns(HpcliWarning, match="cannot be captured") as said:
        losses = run(config, fast)
    assert len(said) == 1
    assert graph.captures == (network == "ReadsLater")
    assert losses == run(config, plain)


def test_what_is_captured_without_being_asked(config: Config) -> None:
    cpu, gpu = torch.device("cpu"), torch.device("cuda")
    own = with_overrides(config, {"model.name": f"{__name__}:Reads"})
    assert is_captured(config, gpu)
    assert not is_captured(own, gpu)
    assert is_captured(with_overrides(own, {"train.cuda_graph": True}), gpu)
    assert not is_captured(with_overrides(config, {"train.cuda_graph": False}), gpu)
    assert not is_captured(with_overrides(config, {"train.cuda_graph": True}), cpu)
    with pytest.warns(HpcliWarning, match="the steps of 2 processes are taken kernel by kernel"):
        assert not is_captured(config, gpu, 2)
    assert not is_captured(config, cpu, 2)
    assert isinstance(Trainer.from_config(config, device="cpu").take_step, Step)


@pytest.mark.gpu
@pytest.mark.parametrize("settings", [*SETTINGS, MUON, FREE], ids=str)
def test_on_a_gpu_replays_are_the_steps_bit_for_bit(config: Config, settings: dict[str, object]) -> None:
    config = with_overrides(config, {**settings, "train.deterministic": True})
    plain = Trainer.from_config(with_overrides(config, {"train.cuda_graph": False}), device="cuda")
    fast = Trainer.from_config(config, device="cuda")
    assert isinstance(fast.take_step, CapturedStep)
    losses = run(config, plain)
    assert run(config, fast) == losses
    assert fast.take_step.descend.is_replayed
    assert digest(fast.state_dict()["model"]) == digest(plain.state_dict()["model"])
    for trainer in (plain, fast):
        trainer.reset(5)
    assert run(config, fast) == run(config, plain)


@pytest.mark.gpu
def test_on_a_gpu_batchnorm_is_measured_anew_by_replays(config: Config) -> None:
    config = with_overrides(config, {**SETTINGS[0], "train.deterministic": True})
    plain = Trainer.from_config(with_overrides(config, {"train.cuda_graph": False}), device="cuda")
    fast = Trainer.from_config(config, device="cuda")
    found = [weights_in_motion(each, partial(each.evaluate, "valid", bn_images=50)) for each in (plain, fast)]
    assert found[0] == found[1]
    assert fast._reestimation._passes
    assert all(isinstance(each, Captured) and each.is_replayed for each in fast._reestimation._passes.values())


@pytest.mark.gpu
@pytest.mark.usefixtures("_own_code")
@pytest.mark.parametrize("network", ["Reads", "ReadsLater"])
def test_on_a_gpu_what_cannot_be_captured_goes_on_with_dropout_too(config: Config, network: str) -> None:
    """A capture that breaks off leaves the generator usable."""
    config = with_overrides(config, {"model.name": f"{__name__}:{network}", "train.cuda_graph": True})
    with pytest.warns(HpcliWarning, match="cannot be captured"):
        fast = run(config, Trainer.from_config(config, device="cuda"))
    plain = with_overrides(config, {"train.cuda_graph": False})
    assert run(plain, Trainer.from_config(plain, device="cuda")) == pytest.approx(fast, rel=1e-2)
    dropout = with_overrides(config, SETTINGS[0])
    run(dropout, Trainer.from_config(dropout, device="cuda"))
