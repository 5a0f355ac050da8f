"""The average of the weights: its formula, what is evaluated and kept, and that a run with it goes on bit for bit."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from hpcli.config import Config, load_config, with_overrides
from hpcli.data.dataset import load_splits
from hpcli.experiments.lr_find import lr_find
from hpcli.experiments.train import train
from hpcli.recording.disk import DiskRecorder
from hpcli.runs.weights import read_weights
from hpcli.training.average import WeightAverage
from hpcli.training.schedules import training_schedule
from hpcli.training.trainer import Trainer
from hpcli.training.weights import snapshot
from tests.training.test_trainer import digest

EMA = 0.4


def warmed(average: Any, own: Any, count: int | torch.Tensor) -> None:
    """torch's update with the warm-up that TensorFlow has."""
    get_ema_multi_avg_fn(min(EMA, (1 + int(count)) / (10 + int(count))))(average, own, count)


def short(**keys: object) -> Config:
    small = {"model.name": "resnet20", "model.options.num_blocks": [1, 1, 1], "data.train_fraction": 0.3,
             "data.batch_size": 64, "train.epochs": 2, "train.ema": EMA}  # fmt: skip
    return with_overrides(load_config(), {**small, **keys})


def trained(config: Config, trainer: Trainer, start: int = 0) -> list[float]:
    reports = trainer.train(training_schedule(config, trainer.data.steps_per_epoch), start)
    return [loss for report in reports for _, loss in report.losses]


def test_it_is_torchs_averaged_model() -> None:
    """Weights and floating buffers of BatchNorm averaged, the number of batches copied."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4))
    theirs = AveragedModel(model, multi_avg_fn=warmed, use_buffers=True)
    ours = WeightAverage(model, EMA)
    assert ours.trained() is None
    for _ in range(9):
        model(torch.randn(8, 1, 5, 5))
        with torch.no_grad():
            for weight in model.parameters():
                weight.add_(torch.randn_like(weight))
        theirs.update_parameters(model)
        ours.update()
    found, own = ours.weights(), {name: each.clone() for name, each in model.state_dict().items()}
    for name, each in theirs.module.state_dict().items():
        if each.is_floating_point():
            assert torch.equal(found[name], each), name
    assert found["1.num_batches_tracked"] == 9
    with ours.shown():
        assert digest(model.state_dict()) == digest(dict(found))
    assert digest(model.state_dict()) == digest(own)
    ours.reset()
    assert digest(dict(ours.weights())) == digest(own)


def test_training_is_the_same_and_evaluation_is_of_the_average() -> None:
    config, plain = short(), short(**{"train.ema": None})
    splits = load_splits(config)
    averaging, bare = (Trainer.from_config(each, device="cpu", splits=splits) for each in (config, plain))
    averages: dict[str, torch.Tensor] = {}
    schedule = training_schedule(config, bare.data.steps_per_epoch)
    for count, _ in enumerate(bare.train(schedule)):
        share = 1 - min(EMA, (1 + count) / (10 + count))
        for name, each in bare.model.state_dict().items():
            by_formula = (
                torch.lerp(averages[name], each, share) if name in averages and each.dtype.is_floating_point else each
            )
            averages[name] = by_formula.clone()
    trained(config, averaging)
    assert digest(averaging.model.state_dict()) == digest(bare.model.state_dict())
    for name, each in averaging.average.weights().items():
        assert torch.allclose(each, averages[name], rtol=1e-5, atol=1e-7), name
    found = averaging.evaluate("valid")
    assert found.loss != bare.evaluate("valid").loss
    bare.load_weights(averaging.average.weights())
    assert bare.evaluate("valid").loss == found.loss
    assert bare.evaluate("valid", bn_images=64).loss == averaging.evaluate("valid", bn_images=64).loss
    assert digest(averaging.model.state_dict()) != digest(bare.model.state_dict())  # its own weights are back


def test_an_interrupted_run_goes_on_bit_for_bit() -> None:
    """From any step, the one before the average begins too, and an evaluation in between changes nothing."""
    config = short()
    splits = load_splits(config)
    trainer = Trainer.from_config(config, device="cpu", splits=splits)
    schedule, states = training_schedule(config, trainer.data.steps_per_epoch), {0: trainer.state_dict()}
    for report in trainer.train(schedule):
        if report.step in (0, 1, 5):
            torch.save(trainer.state_dict(), file := io.BytesIO())
            file.seek(0)
            states[report.step + 1] = torch.load(file)
    whole = digest(trainer.state_dict())
    other = Trainer.from_config(config, device="cpu", splits=splits)
    for step, state in states.items():
        other.load_state_dict(state)
        other.evaluate("valid")
        trained(config, other, step)
        assert digest(other.state_dict()) == whole, step
    other.reset(config.seed)
    assert other.average.trained() is None
    trained(config, other)
    assert digest(other.state_dict()) == whole


def test_what_is_kept_is_what_was_evaluated(tmp_path: Path) -> None:
    config = short(**{"data.name": "digits"})
    with DiskRecorder.create("train", config, tmp_path / "run") as recorder:
        result = train(config, recorder=recorder, device="cpu")
        recorder.finish(result.status, result.summary())
    bare = Trainer.from_config(short(**{"train.ema": None}), device="cpu")
    for where in (tmp_path / "run", tmp_path / "run" / "model.safetensors"):
        bare.load_weights(read_weights(where).weights)
        assert bare.evaluate("valid").loss == pytest.approx(result.valid_loss, rel=1e-6)


def test_a_range_test_has_none_and_gives_it_back() -> None:
    config = short(**{"lr_find.steps": 12, "lr_find.seeds": 1, "lr_find.valid": True})
    trainer = Trainer.from_config(config, device="cpu")
    trained(config, trainer)
    before: Any = digest(trainer.state_dict())
    with_average = lr_find(config, trainer=trainer).curves[0].train_loss.tolist()
    assert digest(trainer.state_dict()) == before
    bare = Trainer.from_config(short(**{"train.ema": None}), device="cpu")
    bare.load_state_dict({**snapshot(trainer.state_dict()), "trained": None, "model": trainer.model.state_dict()})
    assert lr_find(config, trainer=bare).curves[0].train_loss.tolist() == with_average
