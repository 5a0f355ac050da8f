"""Schedule-free AdamW and Prodigy: the libraries' numbers, what is evaluated and kept, and what is refused."""

from __future__ import annotations

import copy
import io
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from hpcli.config import Config, load_config, with_overrides
from hpcli.config.alphas import BN_IMAGES
from hpcli.config.optimizers import CONTROLS, FREE, PRODIGY, decay_of, scale_of
from hpcli.config.scaling import rule
from hpcli.config.schema import OptimizerConfig
from hpcli.config.space import space
from hpcli.config.varying import settings
from hpcli.data.dataset import load_splits
from hpcli.data.randomness import STEP, seed_for
from hpcli.errors import ConfigError
from hpcli.experiments.lr_find import lr_find
from hpcli.experiments.plan import plan
from hpcli.experiments.sweep import sweep
from hpcli.experiments.train import train
from hpcli.models import build_model
from hpcli.recording.disk import DiskRecorder
from hpcli.results.budgets import budget_of
from hpcli.results.data import DataFacts
from hpcli.results.train import Step
from hpcli.runs.weights import read_weights
from hpcli.states import RunStatus
from hpcli.training import control_optimizer
from hpcli.training import device as devices
from hpcli.training.optimizer import Optimizer
from hpcli.training.schedules import training_schedule
from hpcli.training.trainer import Trainer
from hpcli.trials.trainers import Trainers
from tests.training.test_trainer import digest

schedulefree = pytest.importorskip("schedulefree", reason="schedulefree is not installed")
prodigyopt = pytest.importorskip("prodigyopt", reason="prodigyopt is not installed")

RATES = {FREE: 1e-2, PRODIGY: 1.0}
RESNET = {"model.name": "resnet20", "model.options.num_blocks": [1, 1, 1]}


def by_hand(name: str, weights: Any, **arguments: Any) -> torch.optim.Optimizer:
    kind = schedulefree.AdamWScheduleFree if name == FREE else prodigyopt.Prodigy
    found: torch.optim.Optimizer = kind(
        list(weights), lr=RATES[name], weight_decay=0.05, betas=(0.9, 0.999), **arguments
    )
    if name == FREE:
        found.train()  # type: ignore[attr-defined]
    return found


def config_of(name: str, **keys: object) -> Config:
    given = {
        "optimizer.name": name, "optimizer.weight_decay": 0.05, "schedule.name": "constant", "schedule.momentum": 0.9,
        "schedule.max_lr": RATES[name], "model.name": "shallow3", "data.batch_size": 128, "data.train_fraction": 0.5,
        "train.epochs": 2,
    }  # fmt: skip
    return with_overrides(load_config(), {**given, **keys})


def losses_of(config: Config, trainer: Trainer, start: int = 0, stop: int | None = None) -> list[float]:
    schedule = training_schedule(config, trainer.data.steps_per_epoch)
    return [loss for report in trainer.train(schedule, start, stop) for _, loss in report.losses]


def library_alone(config: Config, trainer: Trainer, **arguments: Any) -> tuple[nn.Module, Any, list[float]]:
    """The network that the library trains on the same batches, the optimizer, and the losses."""
    model, losses = copy.deepcopy(trainer.model), []
    library = by_hand(config.optimizer.name, model.parameters(), **arguments)
    for step in range(config.train.epochs * trainer.data.steps_per_epoch):
        images, labels = trainer.data.loader.batch(step)
        devices.seed_generators(seed_for(config.seed, STEP, step), torch.device("cpu"))
        loss = F.cross_entropy(model(images), labels)
        losses.append(loss.item())
        loss.backward()
        library.step()
        library.zero_grad()
    return model, library, losses


@pytest.mark.parametrize("name", CONTROLS)
def test_an_update_is_the_librarys(name: str) -> None:
    torch.manual_seed(0)
    theirs = build_model("shallow3", num_classes=10, in_channels=1, image_size=(8, 8))
    ours = copy.deepcopy(theirs)
    section = OptimizerConfig(name=name, weight_decay=0.05)
    library, optimizer = by_hand(name, theirs.parameters()), Optimizer.from_config(ours, section)
    generator = torch.Generator().manual_seed(1)
    for _ in range(4):
        for one, other in zip(theirs.parameters(), ours.parameters(), strict=True):
            one.grad = torch.randn(one.shape, generator=generator)
            other.grad = one.grad.clone()
        library.step()
        optimizer.step(RATES[name], 0.9)
    assert digest(theirs.state_dict()) == digest(ours.state_dict())
    assert optimizer.averages == (name == FREE)


@pytest.mark.parametrize("name", CONTROLS)
def test_a_whole_run_is_the_librarys_by_hand(name: str) -> None:
    """Bit for bit, with the evaluations that hpcli makes in between; what is evaluated is what `eval()` makes of it."""
    config = config_of(name)
    trainer = Trainer.from_config(config, device="cpu")
    model, library, losses = library_alone(config, trainer)
    half = trainer.data.steps_per_epoch
    found = losses_of(config, trainer, 0, half)
    trainer.evaluate("valid")
    assert found + losses_of(config, trainer, half) == losses
    assert digest(trainer.model.state_dict()) == digest(model.state_dict())
    if name == FREE:
        library.eval()
        assert trainer.average.trained() is not None
    assert digest(dict(trainer.average.weights())) == digest(model.state_dict())


def test_the_schedules_warmup_is_schedule_frees_own() -> None:
    """hpcli's line ends a step after its last one: n steps are the library's n + 1."""
    config = config_of(FREE, **{"schedule.warmup": 0.5, "train.epochs": 4})
    trainer = Trainer.from_config(config, device="cpu")
    steps = 4 * trainer.data.steps_per_epoch
    _, _, losses = library_alone(config, trainer, warmup_steps=round(0.5 * steps) + 1)
    assert losses_of(config, trainer) == pytest.approx(losses, rel=1e-5)


def test_prodigy_finds_a_learning_rate_and_learns() -> None:
    config = config_of(PRODIGY, **{"data.train_fraction": 1.0, "data.batch_size": 64, "train.epochs": 6})
    trainer = Trainer.from_config(config, device="cpu")
    losses_of(config, trainer)
    (group,) = trainer.optimizer.torch_optimizer.param_groups
    assert 1e-4 < group["d"] < 0.3
    assert trainer.evaluate("valid").accuracy > 0.6


@pytest.mark.parametrize("settings", [{}, RESNET, {**RESNET, "optimizer.decay_norm_and_bias": False}], ids=str)
@pytest.mark.parametrize("name", CONTROLS)
def test_an_interrupted_run_goes_on_bit_for_bit(name: str, settings: dict[str, object]) -> None:
    """From any step, by a file, in another trainer, evaluated or not; one that begins again knows nothing of before."""
    config = config_of(name, **settings)
    splits = load_splits(config)
    trainer = Trainer.from_config(config, device="cpu", splits=splits)
    schedule, states = training_schedule(config, trainer.data.steps_per_epoch), {0: trainer.state_dict()}
    for report in trainer.train(schedule):
        if report.step in (0, 4):
            torch.save(trainer.state_dict(), file := io.BytesIO())
            file.seek(0)
            states[report.step + 1] = torch.load(file, weights_only=True)
    whole = digest(trainer.state_dict())
    other = Trainer.from_config(config, device="cpu", splits=splits)
    for step, state in states.items():
        other.load_state_dict(state)
        other.evaluate("valid")
        losses_of(config, other, step)
        assert digest(other.state_dict()) == whole, step
    other.reset(config.seed)
    assert other.average.trained() is None
    losses_of(config, other)
    assert digest(other.state_dict()) == whole


def test_what_is_kept_is_what_was_evaluated_with_batchnorm_measured_anew(tmp_path: Path) -> None:
    """The weights alone, in a checkpoint and in model.safetensors, have the loss that the run says, in any trainer."""
    config = config_of(FREE, **RESNET)
    with DiskRecorder.create("train", config, tmp_path / "run") as recorder:
        result = train(config, recorder=recorder, device="cpu")
        recorder.finish(result.status, result.summary())
    assert result.reestimated is None
    bare = Trainer.from_config(with_overrides(config, {"optimizer.name": "adamw"}), device="cpu")
    for where in (tmp_path / "run", tmp_path / "run" / "model.safetensors"):
        bare.load_weights(read_weights(where).weights)
        assert bare.evaluate("valid").loss == pytest.approx(result.valid_loss, rel=1e-6)
        assert bare.evaluate("valid", bn_images=BN_IMAGES).loss == pytest.approx(result.valid_loss, rel=1e-6)


class Interrupted(DiskRecorder):
    """Is asked to stop once six steps are written."""

    def should_stop(self) -> bool:
        return len(self.rows(Step)) >= 6 and not self.resumed


@pytest.mark.parametrize("name", CONTROLS)
def test_a_folder_is_gone_on_with_bit_for_bit(name: str, tmp_path: Path) -> None:
    """Tables and weights: those of a run that was not stopped."""
    config, found = config_of(name, **RESNET), {}
    for path, kind in ((tmp_path / "whole", DiskRecorder), (tmp_path / "run", Interrupted)):
        with kind.create("train", config, path) as recorder:
            found[path.name] = train(config, recorder=recorder, device="cpu")
    assert found["run"].status == RunStatus.INTERRUPTED
    with DiskRecorder.reopen("train", tmp_path / "run", config) as recorder:
        found["run"] = train(config, recorder=recorder, device="cpu")
    assert found["run"].summary() == found["whole"].summary()
    both = [tmp_path / name / file for file in ("steps.csv", "model.safetensors") for name in ("run", "whole")]
    contents = [each.read_bytes() for each in both]
    assert (contents[0], contents[2]) == (contents[1], contents[3])


def test_trained_weights_and_statistics_come_back_as_they_were() -> None:
    config = config_of(FREE, **RESNET)
    trainer = Trainer.from_config(config, device="cpu")
    losses_of(config, trainer, 0, 5)
    before = digest(trainer.model.state_dict())
    averaged = digest(dict(trainer.average.weights()))
    assert trainer.model.training
    with trainer.average.shown():
        assert digest(trainer.model.state_dict()) == averaged != before
    assert digest(trainer.model.state_dict()) == before
    assert [group["train_mode"] for group in trainer.optimizer.torch_optimizer.param_groups] == [True]


@pytest.mark.parametrize("name", CONTROLS)
def test_a_sweep_of_weight_decay_keeps_one_trainer(name: str) -> None:
    config = config_of(name)
    trainers = Trainers(config, device="cpu")
    first = trainers.trainer_for(config)
    losses_of(config, first)
    again = trainers.trainer_for(with_overrides(config, {"optimizer.weight_decay": 0.5}))
    assert again is first
    fresh = Optimizer.from_config(first.model, with_overrides(config, {"optimizer.weight_decay": 0.5}).optimizer)
    (own,), (new,) = again.optimizer.torch_optimizer.param_groups, fresh.torch_optimizer.param_groups
    assert {key: own[key] for key in own if key not in ("params", "lr")} == {
        key: new[key] for key in new if key not in ("params", "lr")
    }
    assert not again.optimizer.torch_optimizer.state


def test_prodigys_learning_rate_goes_with_nothing() -> None:
    """No batch size scales it, and what a weight decay takes of a weight is not known before."""
    config = config_of(PRODIGY)
    sizes = with_overrides(config, {"sweep.values": {"data.batch_size": [16, 64]}})
    assert {setting.config.schedule.max_lr for setting in settings(sizes)} == {1.0}
    assert rule(sizes, ["data.batch_size"]) == ""
    assert budget_of(config, DataFacts.of(load_splits(config))) is None
    assert budget_of(config_of(FREE), DataFacts.of(load_splits(config))) is not None
    assert [(decay_of(name), scale_of(name)) for name in CONTROLS] == [("decoupled", "adamw")] * 2


@pytest.mark.parametrize(
    ("name", "keys", "fault"),
    [
        (FREE, {"schedule.name": "cosine"}, "schedule.name=cosine: schedulefree_adamw takes the place of a schedule; set "
         "constant, momentum: 0.9, warmup: 0.05"),
        (FREE, {"schedule.momentum": 0.0}, "schedule.momentum=0.0: schedulefree_adamw needs one above 0, such as 0.9"),
        (FREE, {"train.ema": 0.9}, "train.ema=0.9: schedulefree_adamw averages the weights itself; leave it out"),
        (FREE, {"optimizer.options.warmup_steps": 5}, "optimizer.options.warmup_steps=5: not an option here; it is "
         "schedule.warmup"),
        (FREE, {"optimizer.decay": "coupled"}, "optimizer.decay=coupled: schedulefree_adamw shrinks weights itself; leave "
         "optimizer.decay: decoupled"),
        (FREE, {"sweep.values": {"schedule.momentum": [0.8, 0.9]}}, "sweep.values.schedule.momentum: cannot be varied: "
         "schedulefree_adamw has the share of its average in the point where gradients are taken for a momentum; leave it "
         "at one number such as 0.9"),
        (PRODIGY, {"schedule.name": "linear"}, "schedule.name=linear: prodigy finds its learning rate itself; set constant "
         "or cosine, momentum: 0.9"),
        (PRODIGY, {"schedule.max_lr": 0.01}, "schedule.max_lr=0.01: prodigy takes 1.0; optimizer.options.d_coef scales what "
         "it finds"),
        (PRODIGY, {"schedule.warmup": 0.1}, "schedule.warmup=0.1: prodigy needs optimizer.options.safeguard_warmup: true "
         "with it; or set it 0"),
        (PRODIGY, {"lr_find.values": {"schedule.momentum": [0.8, 0.9]}}, "lr_find.values.schedule.momentum: cannot be "
         "varied: prodigy answers another momentum by another learning rate, so that the two cannot be told apart; leave "
         "it at one number such as 0.9"),
    ],
    ids=str,
)  # fmt: skip
def test_what_does_not_go_with_them_is_a_line(name: str, keys: dict[str, object], fault: str) -> None:
    with pytest.raises(ConfigError) as caught:
        config_of(name, **keys)
    assert str(caught.value) == fault


def test_what_goes_with_them_is_taken() -> None:
    config_of(PRODIGY, **{"schedule.name": "cosine", "schedule.warmup": 0.0})
    safe = {"optimizer.options": {"safeguard_warmup": True, "d_coef": 0.5}}
    warmed = config_of(PRODIGY, **{"schedule.name": "cosine", **safe})
    trainer = Trainer.from_config(warmed, device="cpu")
    losses_of(warmed, trainer, 0, 3)
    (group,) = trainer.optimizer.torch_optimizer.param_groups
    assert (group["safeguard_warmup"], group["d_coef"]) == (True, 0.5)


@pytest.mark.parametrize("name", CONTROLS)
def test_range_tests_and_tunings_are_refused_by_name(name: str) -> None:
    config = config_of(name)
    for refused in (lambda: lr_find(config), lambda: plan("lr_find", config)):
        with pytest.raises(ConfigError, match=f"^optimizer.name: {name} takes no range test; it ") as caught:
            refused()
        assert len(str(caught.value).splitlines()) == 1
    with pytest.raises(ConfigError, match=f"^optimizer.name: {name} cannot be tuned"):
        space(config)
    with pytest.raises(ConfigError, match="takes no range test"):
        lr_find(with_overrides(config, {"optimizer.name": "adamw"}), {"optimizer.name": ["adamw", name]})


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        (FREE, {"rr": 1.0}, r"optimizer\.options\.rr: not an option of schedulefree_adamw; did you mean r\?"),
        (PRODIGY, {"d0": -1.0}, r"optimizer\.options: prodigy: Invalid d0 value: -1\.0"),
        (PRODIGY, {"eps": "x"}, r"optimizer\.options: prodigy: '<' not supported"),
    ],
    ids=str,
)
def test_a_wrong_option_is_a_line(name: str, options: dict[str, Any], message: str) -> None:
    config = config_of(name, **{"optimizer.options": options})
    with pytest.raises(ConfigError, match=message) as caught:
        Trainer.from_config(config, device="cpu")
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("name", CONTROLS)
def test_a_library_that_is_not_installed_is_named(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(control_optimizer.LIBRARIES, name, (f"no_{name}", "None"))
    for asked in (lambda: Trainer.from_config(config_of(name), device="cpu"), lambda: plan("train", config_of(name))):
        with pytest.raises(ConfigError, match=r"is not installed; pip install 'hpcli\[controls\]'$"):
            asked()


def test_learning_rates_of_schedule_free_can_be_swept() -> None:
    config = config_of(FREE, **{"sweep.epochs": 1, "sweep.seeds": 1})
    found = sweep(config, {"schedule.max_lr": [1e-3, 1e-2]}, device="cpu")
    assert found.losses[0] != found.losses[1]
