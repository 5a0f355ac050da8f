from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
import torch

from hpcli.config import Config, with_overrides
from hpcli.experiments.lr_find import lr_find
from hpcli.experiments.store import MemoryStore
from hpcli.experiments.train import train
from hpcli.training.schedules import training_schedule
from hpcli.training.trainer import Trainer


def test_the_curves_and_their_rows(config: Config) -> None:
    store = MemoryStore()
    result = lr_find(with_overrides(config, {"lr_find.end_lr": 1e-2, "lr_find.seeds": 2}), store=store)
    assert result.status == "finished"
    assert [curve.seed for curve in result.curves] == [0, 1]
    assert result.suggestion.blow_up_lr is None
    first = result.curves[0]
    assert np.allclose(first.lr, np.geomspace(1e-6, 1e-2, 25))
    assert list(store.tables["lr_find"][0]) == ["step", "lr", "train_loss", "smoothed_loss", "seed", "value"]
    written = [row["train_loss"] for row in store.tables["lr_find"]]
    assert written == [*first.train_loss.tolist(), *result.curves[1].train_loss.tolist()]
    assert [row["train_loss"] for row in store.tables["steps"]] == written
    assert result.chance_loss == pytest.approx(np.log(10), abs=1e-3)
    assert first.train_loss[0] == pytest.approx(result.chance_loss, abs=0.3)
    assert result.summary["refused"] == "only 25 usable steps, 60 are needed: raise steps"
    assert {"suggested_lr", "suggested_lr_low", "suggested_lr_high", "blow_up_lr", "rules"} <= result.summary.keys()


@pytest.mark.parametrize("name", ["adamw", "sgd"])
def test_it_stops_where_the_loss_breaks_for_good(config: Config, name: str) -> None:
    settings = {"optimizer.name": name, "lr_find.end_lr": 1e4, "lr_find.steps": 120, "lr_find.seeds": 1}
    result = lr_find(with_overrides(config, settings))
    (curve,) = result.curves
    broken = result.suggestion.blow_up_lr
    assert broken is not None
    assert len(curve.lr) < 120
    ceiling = 1.5 * max(float(np.median(curve.train_loss[:3])), np.log(10))
    after = curve.train_loss[curve.lr >= broken]
    assert not (after <= ceiling).all()
    assert np.isnan(curve.smoothed_loss[curve.lr >= broken]).all()


def test_every_seed_has_its_own_weights_and_the_first_is_the_plain_one(config: Config) -> None:
    three = lr_find(config)
    one = lr_find(with_overrides(config, {"lr_find.seeds": 1, "seed": 1}))
    assert three.curves[1].train_loss.tolist() == one.curves[0].train_loss.tolist()
    assert three.curves[0].train_loss[0] != three.curves[1].train_loss[0]


def test_a_trained_network_keeps_its_weights_for_every_seed(config: Config) -> None:
    """Fine-tuning: the seeds differ in data order and augmentation only; and the start is noted."""
    trainer = Trainer(with_overrides(config, {"train.epochs": 8}))
    train(trainer.config, trainer=trainer)
    result = lr_find(with_overrides(config, {"lr_find.steps": 80, "lr_find.seeds": 2}), trainer=trainer)
    starts = [curve.train_loss[:10].mean() for curve in result.curves]
    assert max(starts) < 0.8 * result.chance_loss
    assert starts[0] != starts[1]
    assert any("already trained" in note for note in result.suggestion.notes)


@pytest.mark.parametrize(("name", "values"), [("weight_decay", ["0", "1"]), ("momentum", ["0.9", "0.5"])])
def test_values_are_overlaid_on_the_same_seeds(config: Config, name: str, values: list[str]) -> None:
    config = with_overrides(config, {"optimizer.name": "sgd", "lr_find.seeds": 2, "lr_find.end_lr": 1.0})
    store = MemoryStore()
    result = lr_find(config, vary={name: values}, store=store)
    assert [(curve.value, curve.seed) for curve in result.curves] == [
        (value, seed) for value in values for seed in (0, 1)
    ]
    assert list(result.by_value) == values == list(result.summary["by_value"])
    assert result.curves[0].train_loss[0] == result.curves[2].train_loss[0]
    assert result.curves[0].train_loss[-1] != result.curves[2].train_loss[-1]
    assert {row[name] for row in store.tables["lr_find"]} == set(values)
    key = {"weight_decay": "optimizer.weight_decay", "momentum": "schedule.momentum"}[name]
    alone = lr_find(with_overrides(config, {key: values[1], "lr_find.seeds": 1}))
    assert alone.curves[0].train_loss.tolist() == result.curves[2].train_loss.tolist()


def test_validation_along_the_way(config: Config) -> None:
    config = with_overrides(
        config,
        {"lr_find.valid": True, "lr_find.seeds": 1, "model.name": "resnet20", "model.options.num_blocks": "[1, 1, 1]"},
    )
    store = MemoryStore()
    measured, plain = lr_find(config, store=store), lr_find(with_overrides(config, {"lr_find.valid": False}))
    assert measured.curves[0].train_loss.tolist() == plain.curves[0].train_loss.tolist()
    rows = store.tables["lr_find_valid"]
    assert len(rows) == len(measured.curves[0].valid) >= 10
    assert rows[0]["valid_loss"] == pytest.approx(measured.chance_loss, abs=0.6)
    assert all(row["gap"] == row["valid_loss"] - row["train_eval_loss"] for row in rows)


def generators() -> list[Any]:
    keys = np.random.get_state()
    return [torch.get_rng_state().tolist(), keys[1].tolist(), keys[2:], random.getstate()]  # type: ignore[index,union-attr]


@pytest.mark.parametrize("steps_before", [0, 5])
@pytest.mark.parametrize("name", ["adamw", "sgd"])
def test_it_leaves_no_trace(config: Config, name: str, steps_before: int) -> None:
    """lr-find then train equals train, bit for bit, from a fresh network or from the middle of a run."""
    config = with_overrides(
        config, {"optimizer.name": name, "model.name": "resnet20", "model.options.num_blocks": "[1, 1, 1]"}
    )
    trainer, untouched = Trainer(config), Trainer(config)
    schedule = training_schedule(config, trainer.steps_per_epoch)
    for each in (trainer, untouched):
        list(each.train(schedule, 0, steps_before))
    before, drawn = flat(trainer.state_dict()), generators()
    lr_find(config, trainer=trainer)
    assert generators() == drawn
    after = flat(trainer.state_dict())
    assert before.keys() == after.keys()
    assert all(torch.equal(before[key], after[key]) for key in before)
    assert trainer.step == steps_before
    list(trainer.train(schedule, steps_before))
    list(untouched.train(schedule, steps_before))
    assert trainer.losses.take(wait=True) == untouched.losses.take(wait=True)
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
    trainer = Trainer(config)
    before = flat(trainer.state_dict())

    def fail(_: object) -> None:
        raise RuntimeError("the user's own progress function")

    with pytest.raises(RuntimeError, match="own progress"):
        lr_find(config, trainer=trainer, on_progress=fail)
    after = flat(trainer.state_dict())
    assert all(torch.equal(before[key], after[key]) for key in before)


def test_a_stop_keeps_what_there_is(config: Config) -> None:
    class StopsSoon(MemoryStore):
        def should_stop(self) -> bool:
            return len(self.rows("steps")) >= 4

    result = lr_find(config, store=StopsSoon())
    assert result.status == "interrupted"
    assert [len(curve.lr) for curve in result.curves] == [5]


def test_train_after_lr_find_on_one_trainer(config: Config) -> None:
    trainer = Trainer(config)
    lr_find(config, trainer=trainer)
    assert train(config, trainer=trainer).summary == train(config).summary
