from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
import torch

from hpcli.config import Config, with_overrides
from hpcli.errors import ConfigError
from hpcli.experiments.lr_find import lr_find
from hpcli.experiments.train import train
from hpcli.recording.memory import MemoryRecorder
from hpcli.recording.progress import Progress
from hpcli.recording.rows import columns_of
from hpcli.results.lr_find import LRFindPoint, LRFindResult, LRFindStep, LRFindValid
from hpcli.states import Refusal, RunStatus
from hpcli.training.losses import StepLoss
from hpcli.training.schedules import Schedule, training_schedule
from hpcli.training.trainer import Trainer


def test_the_curves_and_their_rows(config: Config) -> None:
    recorder = MemoryRecorder()
    result = lr_find(with_overrides(config, {"lr_find.end_lr": 1e-2, "lr_find.seeds": 2}), recorder=recorder)
    assert result.status == RunStatus.FINISHED
    assert [curve.seed for curve in result.curves] == [0, 1]
    assert result.suggestion is not None
    assert result.suggestion.blow_up_lr is None
    first, second = result.curves
    assert np.allclose(first.lr, np.geomspace(1e-6, 1e-2, 25))
    names = ["step", "lr", "train_loss", "smoothed_loss", "seed", "value"]
    assert [column.name for column in columns_of(LRFindPoint)] == names
    points, steps = recorder.rows(LRFindPoint), recorder.rows(LRFindStep)
    written = [row.train_loss for row in points]
    assert written == [*first.train_loss.tolist(), *second.train_loss.tolist()]
    assert [row.train_loss for row in steps] == written
    assert [(row.seed, row.step, row.lr) for row in steps] == [(row.seed, row.step, row.lr) for row in points]
    assert [(row.seed, row.step) for row in points] == [(seed, step) for seed in (0, 1) for step in range(25)]
    assert {row.value for row in points} == {""}
    assert result.chance_loss == pytest.approx(np.log(10), abs=1e-3)
    assert first.train_loss[0] == pytest.approx(result.chance_loss, abs=0.3)
    summary = result.summary()
    assert result.suggestion.refusal == summary["refusal"] == Refusal.FLAT
    assert str(summary["refused"]).endswith("the curve says nothing; raise end_lr, or steps")
    assert {"suggested_lr", "suggested_lr_low", "suggested_lr_high", "blow_up_lr", "rules"} <= summary.keys()


def test_the_result_comes_back_from_what_was_recorded(config: Config) -> None:
    asked = with_overrides(config, {"lr_find.values": {"optimizer.weight_decay": [0.0, 1.0]}, "lr_find.steps": 70})
    recorder = MemoryRecorder(asked)
    result = lr_find(asked, recorder=recorder)
    recorder.finish(result.status, result.summary())
    again = LRFindResult.from_run(recorder)
    assert again.summary() == result.summary()
    assert (again.status, again.config, again.data) == (RunStatus.FINISHED, asked, result.data)
    assert [(curve.value, curve.seed, curve.train_loss.tolist()) for curve in again.curves] == [
        (curve.value, curve.seed, curve.train_loss.tolist()) for curve in result.curves
    ]


@pytest.mark.parametrize("name", ["adamw", "sgd"])
def test_it_stops_where_the_loss_breaks_for_good(config: Config, name: str) -> None:
    settings = {"optimizer.name": name, "lr_find.end_lr": 1e4, "lr_find.steps": 120, "lr_find.seeds": 1}
    result = lr_find(with_overrides(config, settings))
    (curve,) = result.curves
    assert result.suggestion is not None
    broken = result.suggestion.blow_up_lr
    assert broken is not None
    assert len(curve.lr) < 120
    ceiling = 1.5 * max(float(np.median(curve.train_loss[:3])), np.log(10))
    after = curve.train_loss[curve.lr >= broken]
    assert len(after)
    assert not (after <= ceiling).all()
    assert np.isnan(curve.smoothed_loss[curve.lr >= broken]).all()


def test_every_seed_has_its_own_weights_and_the_first_is_the_plain_one(config: Config) -> None:
    three = lr_find(config)
    one = lr_find(with_overrides(config, {"lr_find.seeds": 1, "seed": 1}))
    assert three.curves[1].train_loss.tolist() == one.curves[0].train_loss.tolist()
    assert three.curves[0].train_loss[0] != three.curves[1].train_loss[0]


def test_a_trained_network_keeps_its_weights_for_every_seed(config: Config) -> None:
    """Fine-tuning: the seeds differ in data order and augmentation only; and the start is noted."""
    longer = with_overrides(config, {"train.epochs": 8})
    trainer = Trainer.from_config(longer)
    train(longer, trainer=trainer)
    result = lr_find(with_overrides(config, {"lr_find.steps": 80, "lr_find.seeds": 2}), trainer=trainer)
    starts = [curve.train_loss[:10].mean() for curve in result.curves]
    assert max(starts) < 0.8 * result.chance_loss
    assert starts[0] != starts[1]
    assert result.suggestion is not None
    assert any("already trained" in note for note in result.suggestion.notes)


@pytest.mark.parametrize(
    ("name", "key", "values", "names"),
    [
        ("weight_decay", "optimizer.weight_decay", [0, 1.0], ["0", "1"]),
        ("momentum", "schedule.momentum", [0.9, 0.5], ["0.9", "0.5"]),
        ("data.batch_size", "data.batch_size", [32, 16], ["32", "16"]),
    ],
)
def test_values_are_overlaid_on_the_same_seeds(
    config: Config, name: str, key: str, values: list[object], names: list[str]
) -> None:
    config = with_overrides(config, {"optimizer.name": "sgd", "lr_find.seeds": 2, "lr_find.end_lr": 1.0})
    recorder = MemoryRecorder()
    result = lr_find(config, vary={name: values}, recorder=recorder)
    assert [(curve.value, curve.seed) for curve in result.curves] == [
        (value, seed) for value in names for seed in (0, 1)
    ]
    assert result.varied == key
    assert result.config.lr_find.values == {key: values}
    by_value = result.summary()["by_value"]
    assert isinstance(by_value, dict)
    assert list(result.by_value) == list(by_value) == names
    sentence, short = str(result.summary()["sentence"]), key.rpartition(".")[2].replace("_", " ")
    assert sentence.startswith(f"{short} {names[0]}: ")
    assert f" {short} {names[1]}: " in sentence
    first, other = result.curves[0].train_loss, result.curves[2].train_loss
    assert (first[0] == other[0]) == (key != "data.batch_size")  # the same weights, on the same batch
    assert first[-1] != other[-1]
    assert {row.value for row in recorder.rows(LRFindPoint)} == {row.value for row in recorder.rows(LRFindStep)}
    assert {row.value for row in recorder.rows(LRFindPoint)} == set(names)
    for index, value in ((0, values[0]), (2, values[1])):
        alone = lr_find(with_overrides(config, {key: value, "lr_find.seeds": 1}))
        assert alone.curves[0].train_loss.tolist() == result.curves[index].train_loss.tolist()


def test_values_of_the_config_are_overlaid_without_being_passed(config: Config) -> None:
    short = with_overrides(config, {"lr_find.seeds": 1})
    named = with_overrides(short, {"lr_find.values": {"optimizer.weight_decay": [0, 1.0]}})
    assert lr_find(named).summary() == lr_find(short, {"weight_decay": [0, 1.0]}).summary()


def test_what_cannot_be_varied_is_refused(config: Config) -> None:
    with pytest.raises(ConfigError, match="has a schedule of its own"):
        lr_find(config, {"schedule.max_lr": [1e-3]})
    with pytest.raises(ConfigError, match="cannot be varied"):
        lr_find(config, {"seed": [1, 2]})
    with pytest.raises(ConfigError, match=r"vary one at a time$"):
        lr_find(config, {"weight_decay": [0], "momentum": [0.9]})
    with pytest.raises(ConfigError, match="takes a trainer of its own for each value; pass none"):
        lr_find(config, {"data.batch_size": [16]}, trainer=Trainer.from_config(config))


def test_validation_along_the_way(config: Config) -> None:
    settings = {"lr_find.valid": True, "lr_find.seeds": 1, "model.options.num_blocks": [1, 1, 1]}
    config = with_overrides(config, {"model.name": "resnet20", **settings})
    recorder = MemoryRecorder()
    measured, plain = lr_find(config, recorder=recorder), lr_find(with_overrides(config, {"lr_find.valid": False}))
    assert measured.curves[0].train_loss.tolist() == plain.curves[0].train_loss.tolist()
    rows = recorder.rows(LRFindValid)
    assert len(rows) == len(measured.curves[0].valid) >= 10
    assert [(row.lr, row.train_eval_loss, row.valid_loss) for row in rows] == list(measured.curves[0].valid)
    assert rows[0].valid_loss == pytest.approx(measured.chance_loss, abs=0.6)
    assert all(row.gap == row.valid_loss - row.train_eval_loss for row in rows)
    assert plain.curves[0].valid == ()


def generators() -> list[Any]:
    keys: Any = np.random.get_state()
    return [torch.get_rng_state().tolist(), keys[1].tolist(), keys[2:], random.getstate()]


def losses_of(trainer: Trainer, schedule: Schedule, start: int = 0, stop: int | None = None) -> list[StepLoss]:
    return [each for report in trainer.train(schedule, start, stop) for each in (*report.losses, *report.wait())]


@pytest.mark.parametrize("steps_before", [0, 5])
@pytest.mark.parametrize("name", ["adamw", "sgd"])
def test_it_leaves_no_trace(config: Config, name: str, steps_before: int) -> None:
    """lr-find then train equals train, bit for bit, from a fresh network or from the middle of a run."""
    config = with_overrides(
        config, {"optimizer.name": name, "model.name": "resnet20", "model.options.num_blocks": [1, 1, 1]}
    )
    trainer, untouched = Trainer.from_config(config), Trainer.from_config(config)
    schedule = training_schedule(config, trainer.data.steps_per_epoch)
    for each in (trainer, untouched):
        losses_of(each, schedule, 0, steps_before)
    before, drawn = flat(trainer.state_dict()), generators()
    lr_find(with_overrides(config, {"lr_find.values": {"optimizer.weight_decay": [1.0, 0.5]}}), trainer=trainer)
    lr_find(config, trainer=trainer)
    assert generators() == drawn
    after = flat(trainer.state_dict())
    assert before.keys() == after.keys()
    assert all(torch.equal(before[key], after[key]) for key in before)
    assert trainer.step == steps_before
    rest = losses_of(trainer, schedule, steps_before)
    assert rest == losses_of(untouched, schedule, steps_before)
    assert [step for step, _ in rest] == list(range(steps_before, 21))
    ends = flat(trainer.state_dict()), flat(untouched.state_dict())
    assert all(torch.equal(ends[0][key], ends[1][key]) for key in ends[0] if not key.startswith("generators"))


def flat(state: Any, prefix: str = "") -> dict[str, torch.Tensor]:
    """Every leaf of a state as a tensor."""
    if isinstance(state, dict):
        return {key: leaf for name, part in state.items() for key, leaf in flat(part, f"{prefix}{name}.").items()}
    if isinstance(state, list | tuple):
        return {key: leaf for name, part in enumerate(state) for key, leaf in flat(part, f"{prefix}{name}.").items()}
    if isinstance(state, torch.Tensor):
        return {prefix: state}
    return {prefix: torch.tensor([ord(letter) for letter in repr(state)])}


def test_no_trace_when_it_fails(config: Config) -> None:
    trainer = Trainer.from_config(config)
    before = flat(trainer.state_dict())

    def fail(_: Progress) -> None:
        raise RuntimeError("the user's own progress function")

    with pytest.raises(RuntimeError, match="own progress"):
        lr_find(config, trainer=trainer, on_progress=fail)
    after = flat(trainer.state_dict())
    assert all(torch.equal(before[key], after[key]) for key in before)


def test_a_stop_keeps_what_there_is(config: Config) -> None:
    class StopsSoon(MemoryRecorder):
        def should_stop(self) -> bool:
            return len(self.rows(LRFindStep)) >= 4

    result = lr_find(config, recorder=StopsSoon())
    assert result.status == RunStatus.INTERRUPTED
    assert [len(curve.lr) for curve in result.curves] == [5]
    overlaid = lr_find(config, {"weight_decay": [0, 1.0]}, recorder=StopsSoon())
    assert overlaid.status == RunStatus.INTERRUPTED
    assert [(curve.value, len(curve.lr)) for curve in overlaid.curves] == [("0", 5)]


def test_train_after_lr_find_on_one_trainer(config: Config) -> None:
    trainer = Trainer.from_config(config)
    lr_find(config, trainer=trainer)
    assert train(config, trainer=trainer).summary() == train(config).summary()
