from __future__ import annotations

import hashlib
import io
import random
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from hpcli.config import Config, with_overrides
from hpcli.training import device as devices
from hpcli.training.losses import LossRecord
from hpcli.training.schedules import training_schedule
from hpcli.training.trainer import Trainer


def digest(state: Any) -> str:
    """SHA-256 of everything in a nested state."""
    if isinstance(state, torch.Tensor):
        return hashlib.sha256(state.contiguous().cpu().numpy().tobytes() + str(state.dtype).encode()).hexdigest()
    if isinstance(state, dict):
        return digest([[str(key), digest(value)] for key, value in state.items()])
    if isinstance(state, list | tuple):
        return hashlib.sha256(
            "".join(each if isinstance(each, str) else digest(each) for each in state).encode()
        ).hexdigest()
    return hashlib.sha256(repr(state).encode()).hexdigest()


def run(trainer: Trainer, start: int = 0, stop: int | None = None) -> list[float]:
    schedule = training_schedule(trainer.config, trainer.steps_per_epoch)
    for _ in trainer.train(schedule, start, stop):
        pass
    return [loss for _, loss in trainer.losses.take(wait=True)]


SETTINGS = [
    {"model.name": "shallow3"},
    {"model.name": "resnet20", "model.options.num_blocks": "[1, 1, 1]"},
    {"optimizer.name": "sgd", "optimizer.decay": "coupled"},
    {
        "optimizer.name": "sgd",
        "optimizer.nesterov": True,
        "model.name": "resnet20",
        "model.options.num_blocks": "[1, 1, 1]",
    },
    {"data.steps_per_epoch": 3, "schedule.dialect": "smith"},
]


@pytest.mark.parametrize("settings", SETTINGS)
def test_stopped_anywhere_and_resumed_is_the_same_run(config: Config, settings: dict[str, object]) -> None:
    """Bit for bit, with BatchNorm, dropout and augmentation, through a file."""
    config = with_overrides(config, settings)
    whole = Trainer(config)
    losses = run(whole)
    stop = random.Random(str(settings)).randrange(1, len(losses) - 1)
    first = Trainer(config)
    assert run(first, 0, stop) == losses[:stop]
    file = io.BytesIO()
    torch.save(first.state_dict(), file)
    run(first, stop, stop + 1)  # a snapshot is not changed by what comes after it
    torch.rand(3), np.random.rand(3), random.random()
    second = Trainer(with_overrides(config, {"seed": 0}))
    file.seek(0)
    second.load_state_dict(torch.load(file, weights_only=True))
    assert second.step == stop
    assert run(second, stop) == losses[stop:]
    for part in ("model", "optimizer", "step"):
        assert digest(second.state_dict()[part]) == digest(whole.state_dict()[part])


def test_a_seed_is_a_run_and_reset_is_a_new_trainer(config: Config) -> None:
    trainer = Trainer(config)
    first = run(trainer)
    trainer.reset(1)
    other = run(trainer)
    trainer.reset(0)
    assert run(trainer) == first
    assert other != first
    assert run(Trainer(with_overrides(config, {"seed": 1}))) == other


def test_building_a_trainer_leaves_the_generators_alone(config: Config) -> None:
    before = digest(devices.generator_states())
    Trainer(config)
    assert digest(devices.generator_states()) == before


def test_dropout_depends_on_the_step_not_on_what_was_drawn_before(config: Config) -> None:
    config = with_overrides(config, {"model.name": "resnet20", "model.options.num_blocks": "[1, 1, 1]"})
    schedule = training_schedule(config, 7)
    undisturbed = run(Trainer(config))
    trainer = Trainer(config)
    for _ in trainer.train(schedule):
        torch.rand(17)
    assert [loss for _, loss in trainer.losses.take(wait=True)] == undisturbed


def test_reports_count_from_zero(config: Config) -> None:
    trainer = Trainer(with_overrides(config, {"data.steps_per_epoch": 3}))
    schedule = training_schedule(trainer.config, trainer.steps_per_epoch)
    reports = list(trainer.train(schedule))
    assert [(report.step, report.epoch, report.ends_epoch) for report in reports[:4]] == [
        (0, 0, False),
        (1, 0, False),
        (2, 0, True),
        (3, 1, False),
    ]
    assert len(reports) == 9
    assert [report.lr for report in reports] == schedule.lr.tolist()
    assert trainer.step == 9


def test_evaluation_is_the_mean_over_images(config: Config) -> None:
    """Weighted by images: batches of 50 leave a last one of 37."""
    trainer = Trainer(with_overrides(config, {"data.eval_batch_size": 50}))
    run(trainer)
    split = trainer.splits.valid
    source = trainer.splits.source
    images = torch.from_numpy((split.images / 255 - np.array(source.mean)) / np.array(source.std)).float()
    trainer.model.eval()
    with torch.no_grad():
        logits = trainer.model(images.permute(0, 3, 1, 2))
    labels = torch.from_numpy(split.labels)
    expected = F.cross_entropy(logits, labels).item()
    ranks = (logits > logits.gather(1, labels[:, None])).sum(1)
    evaluation = trainer.evaluate("valid")
    assert evaluation.loss == pytest.approx(expected, rel=1e-5)
    assert evaluation.accuracy == pytest.approx((ranks < 1).float().mean().item())
    assert evaluation.top5 == pytest.approx((ranks < 5).float().mean().item())


def test_evaluating_changes_nothing(config: Config) -> None:
    config = with_overrides(config, {"model.name": "resnet20", "model.options.num_blocks": "[1, 1, 1]"})
    trainer = Trainer(config)
    run(trainer, 0, 5)
    before = digest(trainer.state_dict())
    for split in ("valid", "train", "test"):
        trainer.evaluate(split)
    assert digest(trainer.state_dict()) == before
    assert trainer.model.training


def test_the_model_learns(config: Config) -> None:
    trainer = Trainer(with_overrides(config, {"train.epochs": 10, "data.train_fraction": 1.0}))
    losses = run(trainer)
    assert losses[0] > 2
    assert trainer.evaluate("valid").accuracy > 0.9


def test_weights_are_channels_last_and_optimizers_fused(config: Config) -> None:
    trainer = Trainer(config)
    weight = trainer.model.conv2.weight  # type: ignore[union-attr]
    assert weight.is_contiguous(memory_format=torch.channels_last)  # type: ignore[operator]
    assert trainer.optimizer.torch_optimizer.defaults["fused"]


def test_losses_are_taken_once_each() -> None:
    record = LossRecord(5, 2, torch.device("cpu"))
    assert record.take() == []
    record.write(2, torch.tensor(0.5))
    record.write(3, torch.tensor(0.25))
    assert record.take() == [(2, 0.5), (3, 0.25)]
    record.write(4, torch.tensor(float("nan")))
    ((step, loss),) = record.take(wait=True)
    assert step == 4
    assert np.isnan(loss)
    assert record.take(wait=True) == []


@pytest.mark.gpu
def test_losses_arrive_from_a_gpu_in_order() -> None:
    record = LossRecord(100, 0, torch.device("cuda"))
    taken = []
    for step in range(100):
        record.write(step, torch.tensor(float(step), device="cuda"))
        taken += record.take()
    taken += record.take(wait=True)
    assert taken == [(step, float(step)) for step in range(100)]


@pytest.mark.gpu
def test_a_gpu_run_resumes_bit_for_bit_when_deterministic(config: Config) -> None:
    config = with_overrides(config, {"train.deterministic": True, "model.name": "resnet20"})
    whole = Trainer(config, device="cuda")
    losses = run(whole)
    first = Trainer(config, device="cuda")
    run(first, 0, 9)
    second = Trainer(config, device="cuda")
    second.load_state_dict(first.state_dict())
    assert run(second, 9) == losses[9:]
    assert digest(second.state_dict()["model"]) == digest(whole.state_dict()["model"])
