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


def test_the_curve_and_its_rows(config: Config) -> None:
    store = MemoryStore()
    result = lr_find(with_overrides(config, {"lr_find.end_lr": 1e-2}), store=store)
    assert result.status == "finished"
    assert result.blow_up_lr is None
    assert np.allclose(result.lr, np.geomspace(1e-6, 1e-2, 25))
    assert list(store.tables["lr_find"][0]) == ["step", "lr", "train_loss", "smoothed_loss"]
    assert [row["train_loss"] for row in store.tables["lr_find"]] == result.train_loss.tolist()
    assert [row["train_loss"] for row in store.tables["steps"]] == result.train_loss.tolist()
    assert result.chance_loss == pytest.approx(np.log(10))
    assert result.train_loss[0] == pytest.approx(result.chance_loss, abs=0.3)


@pytest.mark.parametrize("name", ["adamw", "sgd"])
def test_it_stops_where_the_loss_blows_up(config: Config, name: str) -> None:
    result = lr_find(with_overrides(config, {"optimizer.name": name, "lr_find.end_lr": 1e4, "lr_find.steps": 60}))
    assert result.blow_up_lr == result.lr[-1] < 1e4
    losses = result.train_loss
    ceiling = max(4 * np.nanmin(losses), 1.5 * max(losses[0], np.log(10)))
    assert not losses[-1] <= ceiling
    assert (losses[:-1] <= ceiling + 1e-9).all()
    assert result.summary["steps"] == len(losses) < 60


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
    assert len(result.lr) == 5


def test_train_after_lr_find_on_one_trainer(config: Config) -> None:
    trainer = Trainer(config)
    lr_find(config, trainer=trainer)
    assert train(config, trainer=trainer).summary == train(config).summary
