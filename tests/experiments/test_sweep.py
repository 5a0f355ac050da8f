from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest

from hpcli import sweep
from hpcli.config import Config, with_overrides
from hpcli.errors import ConfigError, UsageError
from hpcli.experiments import trials
from hpcli.experiments.store import MemoryStore
from hpcli.experiments.train import train
from hpcli.training.trainer import Trainer


@pytest.fixture
def short(config: Config) -> Config:
    return with_overrides(
        config, {"sweep.epochs": 2, "sweep.seeds": 2, "data.train_fraction": 0.1, "schedule.max_lr": 3e-3}
    )


@pytest.mark.parametrize("name", ["adamw", "sgd"])
def test_every_trial_is_the_run_that_train_would_make(short: Config, name: str) -> None:
    """One trainer for all, put back to its start: bit for bit what a trainer of its own gives."""
    short = with_overrides(short, {"optimizer.name": name})
    for vary in ({"weight_decay": ["1e-4", "1"]}, {"momentum": ["0.95-0.85", "0.5"]}):
        result = sweep(short, vary)
        for index, setting in enumerate(result.settings):
            for seed in (0, 1):
                alone = train(with_overrides(setting.config, {"seed": seed}))
                assert alone.summary["valid_loss"] == result.losses[index, seed]
                assert alone.epochs["valid_loss"].tolist() == result.curves[index, seed].tolist()


def test_the_result_and_its_summary(short: Config) -> None:
    store, lines = MemoryStore(), []
    result = sweep(short, {"weight_decay": ["1e-4", "1e-2", "100"]}, store=store, on_progress=lines.append)
    assert result.status == "finished"
    assert result.losses.shape == (3, 2)
    assert result.curves.shape == (3, 2, 2)
    assert list(store.tables["sweep"][0]) == [
        "trial", "value", "seed", "status", "valid_loss", "valid_accuracy", "valid_top5", "seconds", "parameter",
    ]  # fmt: skip
    assert [(row["value"], row["seed"]) for row in store.tables["sweep"]] == [
        (value, seed) for seed in (0, 1) for value in ("1e-4", "0.01", "100")
    ]
    summary = result.summary
    assert {
        "parameter", "best", "choice", "choice_reason", "ranking", "noise_sd", "seed_correlation", "resolution",
        "seeds_for_matters", "trained", "reused", "sentence",
    } <= summary.keys()  # fmt: skip
    assert (summary["parameter"], summary["trained"], summary["reused"]) == ("optimizer.weight_decay", 6, 0)
    means = [line["mean_valid_loss"] for line in summary["ranking"]]
    assert means == sorted(means)
    assert summary["best"] == summary["ranking"][0]["value"]
    (strong,) = [line for line in summary["ranking"] if line["value"] == 100.0]
    assert strong["decay_budget"] > 0.5
    assert strong["weight_growth"]["body"] < 0.9
    spoken = [each.line for each in lines if each.line]
    assert spoken[0].startswith("1e-4 and 0.01: no systematic difference expected in 2 epochs")
    assert spoken[1].startswith("1e-4, seed 0: valid loss")
    assert spoken[2].startswith("5 more trials, about")
    steps = [each.done for each in lines if each.loss is not None]
    assert steps == list(range(1, 6 * 2 * 3 + 1))  # one bar for all


def test_nothing_is_trained_twice(short: Config) -> None:
    store = MemoryStore()
    first = sweep(short, {"weight_decay": ["1e-4", "1e-2"]}, store=store)
    again = sweep(short, {"weight_decay": ["1e-4", "1e-2"]}, store=store)
    assert (again.summary["trained"], again.summary["reused"]) == (0, 4)
    assert again.losses.tolist() == first.losses.tolist()
    assert again.curves.tolist() == first.curves.tolist()
    more = sweep(short, {"weight_decay": ["1e-4", "1e-2", "1"]}, store=store)
    assert (more.summary["trained"], more.summary["reused"]) == (2, 4)
    seeds = sweep(with_overrides(short, {"sweep.seeds": 3}), {"weight_decay": ["1e-4", "1e-2"]}, store=store)
    assert (seeds.summary["trained"], seeds.summary["reused"]) == (2, 4)


def test_one_trainer_is_built(short: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    built: list[str] = []

    class Counted(Trainer):
        def __init__(self, config: Config, **about: Any) -> None:
            built.append(config.model.name)
            super().__init__(config, **about)

    monkeypatch.setattr(trials, "Trainer", Counted)
    sweep(short, {"schedule.max_lr": ["1e-3", "1e-2"], "weight_decay": ["0", "1e-2"]})
    assert len(built) == 1
    sweep(short, {"data.batch_size": ["16", "32"]})
    assert len(built) == 5


def test_diverged_trials_never_win_and_stop_no_other(short: Config) -> None:
    result = sweep(short, {"schedule.max_lr": ["1e-3", "1e-2", "1e9"]})
    assert [each.verdict for each in result.verdict.comparisons][2] == "diverged"  # type: ignore[union-attr]
    assert np.isnan(result.losses[2]).all()
    assert result.status == "finished"
    assert {row["status"] for row in result.trials} == {"finished", "diverged"}
    lost = sweep(short, {"schedule.max_lr": ["1e8", "1e9"]})
    assert lost.status == "diverged"
    assert lost.choice is None
    assert "no value trained" in lost.summary["sentence"]


def test_failed_trials_are_states(short: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    real, fails = trials.train, {1e-2}

    def fake(config: Config, **about: Any) -> Any:
        if config.optimizer.weight_decay in fails:
            raise RuntimeError("a fault of the model")
        return real(config, **about)

    monkeypatch.setattr(trials, "train", fake)
    store, lines = MemoryStore(), []
    result = sweep(short, {"weight_decay": ["1e-4", "1e-3", "1e-2"]}, store=store, on_progress=lines.append)
    assert (result.status, result.num_failed, result.summary["failed"]) == ("finished", 2, 2)
    assert result.verdict is not None
    assert result.verdict.comparisons[2].verdict == "cannot tell"
    assert not result.verdict.comparisons[2].candidate
    assert "0.01 has runs that failed." in result.summary["sentence"]
    assert any("0.01, seed 0: failed (RuntimeError('a fault of the model'))" in (each.line or "") for each in lines)
    fails.clear()
    mended = sweep(short, {"weight_decay": ["1e-4", "1e-3", "1e-2"]}, store=store)
    assert (mended.summary["trained"], mended.summary["reused"], mended.num_failed) == (2, 4, 0)
    fails |= {1e-4, 1e-3}
    assert sweep(short, {"weight_decay": ["1e-4", "1e-3"]}).status == "failed"

    def full(config: Config, **about: Any) -> Any:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(trials, "train", full)
    with pytest.raises(OSError, match="No space"):
        sweep(short, {"weight_decay": ["1e-4", "1e-3"]})


class Stopping(MemoryStore):
    """Asks to stop after so many steps, in trials too."""

    left = 0

    def should_stop(self) -> bool:
        Stopping.left -= 1
        return Stopping.left < 0

    def trial(self, key: str, config: Config) -> Any:
        from contextlib import nullcontext

        return nullcontext(self.trials.setdefault(key, Stopping()))


def test_an_interrupted_sweep_goes_on(short: Config) -> None:
    whole = sweep(short, {"weight_decay": ["1e-4", "1"]})
    store = Stopping()
    Stopping.left = 10
    cut = sweep(short, {"weight_decay": ["1e-4", "1"]}, store=store)
    assert cut.status == "interrupted"
    assert "waiting" in {row["status"] for row in cut.trials}
    Stopping.left = 10**9
    done = sweep(short, {"weight_decay": ["1e-4", "1"]}, store=store)
    assert done.status == "finished"
    assert done.summary["reused"] > 0
    assert done.losses.tolist() == whole.losses.tolist()


def test_seeds_by_forecast(short: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    auto = with_overrides(short, {"sweep.seeds": "auto", "sweep.epochs": 1})
    assert sweep(auto, {"weight_decay": ["0", "1"]}).losses.shape == (2, 5)
    monkeypatch.setattr("hpcli.experiments.sweep.AUTO_SECONDS", 0.0)
    store = MemoryStore()
    assert sweep(auto, {"weight_decay": ["0", "1"]}, store=store).losses.shape == (2, 3)
    monkeypatch.setattr("hpcli.experiments.sweep.AUTO_SECONDS", 300.0)
    again = sweep(auto, {"weight_decay": ["0", "1"]}, store=store)  # as was decided
    assert (again.losses.shape, again.summary["trained"]) == ((2, 3), 0)


def faked(monkeypatch: pytest.MonkeyPatch, loss_of: Any) -> None:
    """Trials that end with a loss of our making."""

    def fake(config: Config, **about: Any) -> Any:
        result = train(with_overrides(config, {"train.epochs": 1}), **about)
        result.summary["valid_loss"] = loss_of(config)
        return dataclasses.replace(result, status="finished")

    monkeypatch.setattr(trials, "train", fake)


def test_refine_finds_what_lies_between(short: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    def bowl(config: Config) -> float:
        noise = np.random.default_rng([config.seed, int(-math.log10(config.optimizer.weight_decay) * 100)])
        return (math.log10(config.optimizer.weight_decay) + 3.5) ** 2 / 10 + 1 + noise.normal(0, 0.003)

    faked(monkeypatch, bowl)
    result = sweep(with_overrides(short, {"sweep.seeds": 3}), {"weight_decay": ["1e-5", "1e-4", "1e-3"]}, refine=True)
    assert "3e-4" in [setting.name for setting in result.settings]
    assert result.summary["choice"] == 3e-4
    assert len(result.settings) <= 10
    with pytest.raises(UsageError, match="--refine: takes one key"):
        sweep(short, {"momentum": ["0.95-0.85"]}, refine=True)
    with pytest.raises(UsageError, match="one at a time"):
        sweep(short, {"weight_decay": ["1"]}, refine=True, max_seeds=5)


def test_seeds_are_added_until_decided(short: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    def far(config: Config) -> float:
        return config.optimizer.weight_decay + np.random.default_rng([config.seed, 1]).normal(0, 0.01)

    faked(monkeypatch, far)
    three = with_overrides(short, {"sweep.seeds": 3})
    assert sweep(three, {"weight_decay": ["1", "2", "4"]}, max_seeds=8).losses.shape == (3, 3)

    def near(config: Config) -> float:
        return 1 + np.random.default_rng([config.seed, int(config.optimizer.weight_decay * 1000)]).normal(0, 0.1)

    faked(monkeypatch, near)
    assert sweep(three, {"weight_decay": ["1", "2", "4"]}, max_seeds=8).losses.shape == (3, 8)


def test_two_keys_make_pairs(short: Config) -> None:
    result = sweep(short, {"schedule.max_lr": ["1e-3", "1e-2"], "weight_decay": ["0", "1"]})
    assert result.keys == ("schedule.max_lr", "optimizer.weight_decay")
    assert result.summary["parameter"] == "schedule.max_lr & optimizer.weight_decay"
    assert isinstance(result.summary["choice"], list)
    assert sorted(line["value"] for line in result.summary["ranking"]) == [[1e-3, 0], [1e-3, 1], [1e-2, 0], [1e-2, 1]]


def test_batch_sizes_and_their_time(short: Config) -> None:
    result = sweep(short, {"data.batch_size": ["16", "32"]})
    assert (result.seconds > 0).all()
    assert result.places == (16.0, 32.0)
    with pytest.raises(ConfigError, match=r"data.batch_size: 5000 is more than the \d+ training images"):
        sweep(short, {"data.batch_size": ["16", "5000"]})


def test_the_test_images_are_not_touched(short: Config) -> None:
    result = sweep(short, {"weight_decay": ["0"]}, store=(store := MemoryStore()))
    assert result.trials
    assert all("test_loss" not in (trial.summary or {}) for trial in store.trials.values())
