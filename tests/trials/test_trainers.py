"""The one trainer that trials are run with, and when another one is made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from hpcli.config import Config, with_overrides
from hpcli.data.dataset import load_splits
from hpcli.recording.disk import DiskRecorder
from hpcli.training.schedules import constant
from hpcli.training.trainer import Trainer
from hpcli.trials.trainers import Trainers, new_trainer


def losses_of(trainer: Trainer) -> list[float]:
    reports = trainer.train(constant(5, 1e-2, 0.9))
    return [loss for report in reports for _, loss in (*report.losses, *report.wait())]


@pytest.mark.parametrize(
    "change",
    [
        {"optimizer.weight_decay": 0.5},
        {"seed": 7},
        {"schedule.max_lr": 0.1},
        {"train.epochs": 9},
        {"lr_find.steps": 9},
        {"optimizer.weight_decay": 0.5, "seed": 7},
    ],
)
@pytest.mark.parametrize("name", ["adamw", "sgd"])
def test_a_trainer_is_kept_and_put_back_to_a_start(config: Config, name: str, change: dict[str, object]) -> None:
    config = with_overrides(config, {"optimizer.name": name})
    trainers, other = Trainers(config), with_overrides(config, change)
    first = trainers.trainer_for(config)
    losses_of(first)
    again = trainers.trainer_for(other)
    assert again is first
    assert (again.step, again.is_fresh, again.seed) == (0, True, other.seed)
    alone = new_trainer(other)
    assert losses_of(again) == losses_of(alone)
    ends = again.state_dict()["model"], alone.state_dict()["model"]
    assert all(torch.equal(ends[0][key], ends[1][key]) for key in ends[0])


@pytest.mark.parametrize(
    "change",
    [
        {"data.batch_size": 16},
        {"data.augment": "none"},
        {"data.train_fraction": 0.1},
        {"data.split_seed": 1},
        {"model.name": "resnet20"},
        {"optimizer.name": "sgd"},
        {"optimizer.beta2": 0.9},
        {"optimizer.decay": "coupled"},
        {"train.label_smoothing": 0.1},
        {"train.clip_norm": 1.0},
    ],
    ids=lambda change: next(iter(change)),
)
def test_another_trainer_is_made_where_the_config_asks_for_one(config: Config, change: dict[str, object]) -> None:
    trainers, other = Trainers(config), with_overrides(config, change)
    first = trainers.trainer_for(config)
    again = trainers.trainer_for(other)
    assert again is not first
    assert losses_of(again) == losses_of(new_trainer(other))
    assert again.data.splits.test is None


def test_weights_that_a_config_names_are_loaded_for_every_run(config: Config, tmp_path: Path) -> None:
    with DiskRecorder.create("train", config, tmp_path / "run") as folder:
        folder.keep_weights(Trainer.from_config(with_overrides(config, {"seed": 5})).model.state_dict())
    named = with_overrides(config, {"init.weights": tmp_path / "run/model.safetensors"})
    trainers = Trainers(named)
    first = losses_of(trainers.trainer_for(named))
    assert losses_of(trainers.trainer_for(named)) == first
    assert first != losses_of(Trainers(config).trainer_for(config))
    assert not trainers.trainer_for(named).is_fresh


def test_the_images_are_loaded_once_and_anew_where_others_are_asked_for(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded: list[float] = []

    def counted(config: Config, **about: Any) -> Any:
        loaded.append(config.data.train_fraction)
        return load_splits(config, **about)

    monkeypatch.setattr("hpcli.trials.trainers.load_splits", counted)
    trainers = Trainers(config)
    trainers.trainer_for(config)
    trainers.trainer_for(with_overrides(config, {"data.batch_size": 16}))
    assert loaded == [0.2]
    trainers.trainer_for(with_overrides(config, {"data.train_fraction": 0.1}))
    trainers.trainer_for(config)
    assert loaded == [0.2, 0.1, 0.2]
    Trainers(config, splits=trainers.splits).trainer_for(config)
    assert loaded == [0.2, 0.1, 0.2]


def test_a_trainer_that_was_dropped_is_made_anew(config: Config) -> None:
    trainers = Trainers(config)
    first = trainers.trainer_for(config)
    trainers.drop()
    assert trainers.trainer_for(config) is not first
