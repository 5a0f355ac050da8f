"""timm's optimizers: the same numbers as the library driven by hand, their decay, and nothing left of them at a reset."""

from __future__ import annotations

import copy
import io
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from hpcli.config import Config, load_config, with_overrides
from hpcli.config.optimizers import CORRECTED, COUPLED, DECOUPLED, NAMES, OWN, SGDS, decay_of, why_refused
from hpcli.config.schema import OptimizerConfig
from hpcli.data.dataset import load_splits
from hpcli.data.randomness import STEP, seed_for
from hpcli.errors import ConfigError
from hpcli.experiments.lr_find import lr_find
from hpcli.models import build_model
from hpcli.training import device as devices
from hpcli.training.optimizer import Optimizer
from hpcli.training.schedules import Schedule, lr_find_schedule, training_schedule
from hpcli.training.trainer import Trainer
from hpcli.trials.trainers import Trainers
from tests.training.test_trainer import digest

timm_optim = pytest.importorskip("timm.optim", reason="timm is not installed")

STEPS = [(1e-3, 0.95), (5e-3, 0.9), (1e-2, 0.85), (4e-3, 0.9)]
PEAK = 1e-2
COMMON = ["timm/muon", "timm/nadamw", "timm/lion", "timm/adamc", "timm/nadam"]
MUONS = ("muon", "nmuon", "adamuon", "nadamuon")
MOMENTUM_ALONE = (*SGDS, "rmsprop", "rmsproptf", "crmsproptf", "rmsproptfw", "rmsproptfc",
                  "adafactorbv", "cadafactorbv", "adafactorbvc", "cadafactorbvc")  # fmt: skip


def by_hand(name: str, weights: Any, peak: float = PEAK, **arguments: Any) -> torch.optim.Optimizer:
    """timm's own factory, which knows the peak of a corrected decay from the learning rate that it is given."""
    found: torch.optim.Optimizer = timm_optim.create_optimizer_v2(
        [{"params": list(weights)}], opt=name.removeprefix("timm/"), lr=peak, weight_decay=0.05, **arguments
    )
    return found


def set_row(optimizer: torch.optim.Optimizer, name: str, lr: float, momentum: float) -> None:
    """What a person would set, by what each optimizer's paper calls its momentum."""
    (group,), own = optimizer.param_groups, name.removeprefix("timm/")
    group["lr"] = lr
    if own in MOMENTUM_ALONE or own in MUONS:
        assert "momentum" in group
        group["momentum"] = momentum
    if own not in MOMENTUM_ALONE:
        group["betas"] = (momentum, *group["betas"][1:])
    if own in ("mars", "cmars"):
        group["betas_1d"] = (momentum, group["betas_1d"][1])


def network() -> nn.Module:
    torch.manual_seed(0)
    return build_model("shallow3", num_classes=10, in_channels=1, image_size=(8, 8))


def section(name: str, **keys: Any) -> OptimizerConfig:
    return OptimizerConfig(**{"name": name, "weight_decay": 0.05, "decay": decay_of(name), **keys})


def test_every_optimizer_of_timms_is_taken_or_refused_with_a_reason() -> None:
    known = [f"timm/{name}" for name in timm_optim.list_optimizers()]
    assert set(NAMES) <= set(known)
    for name in known:
        assert (why_refused(name) is None) == (name in NAMES)
        assert not (why_refused(name) or "").startswith("unknown"), name


@pytest.mark.parametrize("name", NAMES)
def test_an_update_is_the_librarys(name: str) -> None:
    """Bit for bit, with the learning rate and the momentum changing from step to step."""
    theirs, ours = network(), network()
    library, optimizer = by_hand(name, theirs.parameters()), Optimizer.from_config(ours, section(name))
    optimizer.peak_lr = PEAK
    generator = torch.Generator().manual_seed(1)
    for lr, momentum in STEPS:
        for one, other in zip(theirs.parameters(), ours.parameters(), strict=True):
            one.grad = torch.randn(one.shape, generator=generator)
            other.grad = one.grad.clone()
        set_row(library, name, lr, momentum)
        library.step()
        optimizer.step(lr, momentum)
    before = network().state_dict()
    for (key, one), other in zip(theirs.state_dict().items(), ours.state_dict().values(), strict=True):
        assert torch.equal(one, other), key
        assert one.dtype == torch.int64 or key.endswith(("mean", "var")) or not torch.equal(one, before[key])


def test_the_momentum_is_the_schedules_wherever_a_group_has_one() -> None:
    """Muon has two: for matrices and convolutions a momentum, for vectors the betas of AdamW."""
    optimizer = Optimizer.from_config(network(), section("timm/muon"))
    (group,) = optimizer.torch_optimizer.param_groups
    assert (group["momentum"], group["betas"]) == (0.9, (0.9, 0.95))
    optimizer.step(1e-3, 0.85)
    assert (group["momentum"], group["betas"]) == (0.85, (0.85, 0.95))


def weight_after(name: str, decay: float, *, gradient: float = 0.0, **keys: Any) -> tuple[float, float]:
    """A weight of 2 and its bias of 3 after three steps, their gradient a multiple of themselves; the peak is 0.5."""
    layer = nn.Linear(1, 1)
    nn.init.constant_(layer.weight, 2.0)
    nn.init.constant_(layer.bias, 3.0)
    optimizer = Optimizer.from_config(layer, section(name, weight_decay=decay, **keys))
    optimizer.peak_lr = 0.5
    for _ in range(3):
        for weight in layer.parameters():
            weight.grad = gradient * weight.detach()
        optimizer.step(0.25, 0.9)
    return layer.weight.item(), layer.bias.item()


@pytest.mark.parametrize("name", NAMES)
def test_the_decay_is_what_its_name_says(name: str) -> None:
    own = name.removeprefix("timm/")
    found, _ = weight_after(name, 0.1)
    assert weight_after(name, 0.0) == (2.0, 3.0)
    steps = 2 if "adopt" in own else 3  # ADOPT's first step sets its second moment, and nothing else
    if own in ("adan", "cadan"):
        assert found == pytest.approx(2 / (1 + 0.25 * 0.1) ** steps, rel=1e-6)
    elif own in DECOUPLED:
        assert found == pytest.approx(2 * (1 - 0.25 * 0.1) ** steps, rel=1e-6)
    elif own in CORRECTED:
        assert found == pytest.approx(2 * (1 - 0.25**2 / 0.5 * 0.1) ** steps, rel=1e-6)
    else:
        assert own in COUPLED
        assert found == pytest.approx(weight_after(name, 0.0, gradient=0.1)[0], rel=1e-6)


@pytest.mark.parametrize("name", COMMON)
def test_biases_can_be_spared(name: str) -> None:
    weight, bias = weight_after(name, 0.1, decay_norm_and_bias=False)
    assert weight == pytest.approx(weight_after(name, 0.1)[0])
    assert bias == 3.0


def test_a_corrected_decay_is_relative_to_the_peak_of_a_run_and_in_a_range_test_to_each_learning_rate() -> None:
    config = config_of("timm/adamc")
    trainer = Trainer.from_config(config, device="cpu")
    (group,) = trainer.optimizer.torch_optimizer.param_groups
    for schedule, peaks in ((schedule_of(config, trainer), [PEAK] * 3), (lr_find_schedule(config), None)):
        found = [group["max_lr_snapshot"] for _ in trainer.train(schedule, stop=3)]
        assert found == pytest.approx(schedule.lr[:3].tolist() if peaks is None else peaks)


def config_of(name: str, **keys: object) -> Config:
    given = {
        "optimizer.name": name, "optimizer.decay": decay_of(name) or "decoupled", "optimizer.weight_decay": 0.05,
        "model.name": "shallow3", "data.batch_size": 128, "data.train_fraction": 0.5, "train.epochs": 2,
        "schedule.max_lr": PEAK,
    }  # fmt: skip
    return with_overrides(load_config(), {**given, **keys})


def schedule_of(config: Config, trainer: Trainer) -> Schedule:
    return training_schedule(config, trainer.data.steps_per_epoch)


@pytest.mark.parametrize("name", COMMON)
def test_a_whole_run_is_the_librarys_by_hand(name: str) -> None:
    """Bit for bit: the same images, 1cycle of learning rate and momentum, augmentation."""
    config = config_of(name)
    trainer = Trainer.from_config(config, device="cpu")
    theirs, schedule = copy.deepcopy(trainer.model), schedule_of(config, trainer)
    library, losses = by_hand(name, theirs.parameters()), []
    assert schedule.momentum.min() == pytest.approx(0.85)
    for step, (lr, momentum) in enumerate(zip(schedule.lr.tolist(), schedule.momentum.tolist(), strict=True)):
        images, labels = trainer.data.loader.batch(step)
        devices.seed_generators(seed_for(config.seed, STEP, step), torch.device("cpu"))
        set_row(library, name, lr, momentum)
        loss = F.cross_entropy(theirs(images), labels)
        losses.append(loss.item())
        loss.backward()
        library.step()
        library.zero_grad()
    found = [loss for report in trainer.train(schedule) for _, loss in report.losses]
    assert found == losses
    assert digest(trainer.model.state_dict()) == digest(theirs.state_dict())


@pytest.mark.parametrize("name", NAMES)
def test_an_interrupted_run_goes_on_bit_for_bit(name: str) -> None:
    """From any step, by a file, in another trainer; and one that begins again knows nothing of the run before."""
    config = config_of(name)
    splits = load_splits(config)
    trainer = Trainer.from_config(config, device="cpu", splits=splits)
    schedule, states = schedule_of(config, trainer), {}
    for report in trainer.train(schedule):
        if report.step in (0, 1, 4):
            torch.save(trainer.state_dict(), file := io.BytesIO())
            states[report.step + 1] = file
    whole = digest(trainer.state_dict())
    other = Trainer.from_config(config, device="cpu", splits=splits)
    for step, file in states.items():
        file.seek(0)
        other.load_state_dict(torch.load(file))
        list(other.train(schedule, start=step))
        assert digest(other.state_dict()) == whole, step
    other.reset(config.seed)
    list(other.train(schedule))
    assert digest(other.state_dict()) == whole


@pytest.mark.parametrize(("name", "lowest", "highest"), [("muon", 3e-3, 0.1), ("lion", 3e-4, 0.03)])
def test_a_range_test_finds_learning_rates_of_use(name: str, lowest: float, highest: float) -> None:
    """On the digits: of Muon AdamW's, as timm scales its updates to those; of Lion lower ones. It breaks further up."""
    keys = {"lr_find.seeds": 1, "lr_find.steps": 140, "data.batch_size": 64, "data.train_fraction": 1.0}
    found = lr_find(config_of(f"timm/{name}", **keys)).suggestion
    assert found is not None
    assert found.suggested_lr is not None
    assert lowest < found.suggested_lr < highest
    assert found.blow_up_lr is None or found.blow_up_lr > 3 * found.suggested_lr


def test_a_sweep_of_weight_decay_keeps_one_trainer() -> None:
    """Put back to a start that knows nothing of the last trial, Adan's count of steps in its groups too."""
    config = config_of("timm/adan")
    trainers = Trainers(config, device="cpu")
    first = trainers.trainer_for(config)
    list(first.train(schedule_of(config, first)))
    again = trainers.trainer_for(with_overrides(config, {"optimizer.weight_decay": 0.5}))
    assert again is first
    assert [(group["weight_decay"], "step" in group) for group in again.optimizer.torch_optimizer.param_groups] == [
        (0.5, False)
    ]


def test_options_are_timms_own_arguments() -> None:
    optimizer = Optimizer.from_config(network(), section("timm/muon", options={"ns_steps": 3, "betas": [0.1, 0.7]}))
    optimizer.step(1e-3, 0.8)
    (group,) = optimizer.torch_optimizer.param_groups
    assert (group["ns_steps"], group["betas"]) == (3, (0.8, 0.7))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ns_step": 3}, r"optimizer\.options\.ns_step: not an option of timm/muon; did you mean ns_steps\?"),
        ({"adjust_lr_fn": "none"}, r'optimizer\.options: timm/muon: Invalid scaling function "none" for Muon'),
        ({"conv_mode": 3}, "optimizer.options: timm/muon: Invalid conv_mode: 3"),
        ({"betas": [0.9]}, "optimizer.options: timm/muon: not enough values to unpack"),
        ({"eps": "x"}, "optimizer.options: timm/muon: "),
    ],
    ids=str,
)
def test_a_wrong_option_is_a_line(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        Optimizer.from_config(network(), section("timm/muon", options=options))
    assert len(str(caught.value).splitlines()) == 1


def test_hpclis_own_are_not_timms() -> None:
    assert not {f"timm/{name}" for name in OWN} & set(NAMES)
