from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from hpcli.config import Config, with_overrides
from hpcli.experiments.store import MemoryStore, Progress, columns
from hpcli.experiments.train import train
from hpcli.training.trainer import Trainer


def test_a_run_in_memory(config: Config) -> None:
    store, reports = MemoryStore(), []
    trainer = Trainer(config)
    result = train(config, store=store, on_progress=reports.append, trainer=trainer)
    assert result.status == "finished"
    assert len(result.steps["step"]) == 21
    assert result.steps["step"].tolist() == list(range(21))
    assert result.steps["lr"].tolist() == result.schedule.lr.tolist()
    assert list(store.tables["steps"][0]) == ["step", "lr", "momentum", "train_loss"]
    assert list(store.tables["metrics"][0]) == [
        "epoch", "step", "train_loss", "train_eval_loss", "valid_loss", "valid_accuracy", "valid_top5", "lr", "momentum", "seconds",
    ]  # fmt: skip
    assert result.epochs["epoch"].tolist() == [0, 1, 2]
    assert result.epochs["step"].tolist() == [6, 13, 20]
    assert [report.done for report in reports if report.loss is not None] == list(range(1, 22))
    assert all(isinstance(report, Progress) and report.total == 21 for report in reports)


def test_metrics_are_what_the_trainer_measures(config: Config) -> None:
    trainer = Trainer(config)
    result = train(config, trainer=trainer)
    valid, sample, test = (trainer.evaluate(split) for split in ("valid", "train", "test"))
    last = {name: values[-1] for name, values in result.epochs.items()}
    assert (last["valid_loss"], last["valid_accuracy"], last["valid_top5"]) == (valid.loss, valid.accuracy, valid.top5)
    assert last["train_eval_loss"] == sample.loss
    assert last["train_loss"] == pytest.approx(result.steps["train_loss"][14:].mean(), rel=1e-12)
    assert result.summary["valid_loss"] == valid.loss
    assert result.summary["test_accuracy"] == test.accuracy
    assert result.summary["best_epoch"] == int(np.argmin(result.epochs["valid_loss"]))
    assert (result.summary["epochs"], result.summary["steps"]) == (3, 21)


def test_checkpoints_at_chosen_epochs_cycle_ends_and_the_end(config: Config) -> None:
    store = MemoryStore()
    train(with_overrides(config, {"train.checkpoint_epochs": [0], "schedule.cycles": 2}), store=store)
    assert sorted(store.states) == ["cycle-0", "cycle-1", "epoch-0000", "epoch-0002"]
    assert [store.states[label]["trainer"]["step"] for label in sorted(store.states)] == [10, 21, 7, 21]


def test_it_goes_on_from_where_the_trainer_is(config: Config) -> None:
    whole = train(config)

    class Resumed(MemoryStore):
        def load(self) -> dict[str, object] | None:
            return halfway

    store = MemoryStore()
    halfway = None

    class StopsHalfway(MemoryStore):
        def should_stop(self) -> bool:
            return len(self.rows("steps")) >= 9

        def save(self, state: dict[str, object], **_: object) -> None:
            nonlocal halfway
            halfway = state

    store = StopsHalfway()
    stopped = train(config, store=store)
    assert stopped.status == "interrupted"
    assert len(stopped.steps["step"]) == 10
    rest = Resumed(tables={name: list(rows) for name, rows in store.tables.items()})
    resumed = train(config, store=rest)
    assert resumed.status == "finished"
    assert resumed.steps["train_loss"].tolist() == whole.steps["train_loss"].tolist()
    for name in ("train_loss", "train_eval_loss", "valid_loss", "valid_accuracy"):
        assert resumed.epochs[name].tolist() == whole.epochs[name].tolist()


@pytest.mark.filterwarnings("ignore::hpcli.errors.HpcliWarning")
def test_divergence_ends_the_run_and_is_a_result(config: Config) -> None:
    settings = {
        "optimizer.name": "sgd",
        "schedule.name": "constant",
        "schedule.momentum": "0.9",
        "schedule.max_lr": 1e4,
    }
    result = train(with_overrides(config, settings))
    assert result.status == "diverged"
    losses = result.steps["train_loss"]
    assert not math.isfinite(losses[-1])
    assert np.isfinite(losses[:-1]).all()
    assert len(losses) < 21


def test_ending_worse_than_chance_and_start_is_divergence_too(config: Config) -> None:
    settings = {"schedule.name": "constant", "schedule.momentum": "0.9", "schedule.max_lr": 3.0}
    result = train(with_overrides(config, settings))
    assert result.status == "diverged"
    assert np.isfinite(result.steps["train_loss"]).all()


def test_smith_short_epochs_do_not_reshuffle_early(config: Config) -> None:
    """Three batches count as an epoch; the pictures are those of whole passes (S14)."""
    short = with_overrides(
        config, {"data.steps_per_epoch": 3, "train.epochs": 7, "schedule.name": "constant", "schedule.momentum": 0.9}
    )
    whole = with_overrides(config, {"schedule.name": "constant", "schedule.momentum": 0.9})
    assert train(short).steps["train_loss"].tolist() == train(whole).steps["train_loss"].tolist()


def test_columns_of_nothing_and_of_gaps() -> None:
    assert columns([]) == {}
    assert np.isnan(columns([{"a": 1.0}, {"a": None}])["a"][1])


@pytest.mark.slow
def test_digits_are_learnt(tmp_path: object) -> None:
    """Issue's own figure: at least 96 % of the held-out digits, mean of five seeds, 10 epochs at max_lr 1e-2."""
    from hpcli.config import load_config

    torch.set_num_threads(2)
    results = [train(load_config(None, {"seed": seed})).summary for seed in range(5)]
    assert np.mean([summary["valid_accuracy"] for summary in results]) >= 0.96
    assert np.mean([summary["test_accuracy"] for summary in results]) >= 0.96
