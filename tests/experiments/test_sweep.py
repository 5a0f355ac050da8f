from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from hpcli import sweep
from hpcli.config import Config, with_overrides
from hpcli.config.varying import settings
from hpcli.errors import ConfigError, StorageError, UsageError
from hpcli.experiments import seeds as seed_rule
from hpcli.experiments.train import train
from hpcli.recording.memory import MemoryRecorder
from hpcli.recording.progress import Progress
from hpcli.recording.recorder import ChildRecorder
from hpcli.recording.rows import columns_of
from hpcli.results.looks import SweepLook
from hpcli.results.sweep import SweepResult
from hpcli.results.train import Epoch, FinalTest, TrainResult
from hpcli.results.trials import SweepTrial
from hpcli.states import Judgement, Reason, RunStatus
from hpcli.training.trainer import Trainer
from hpcli.trials import run
from hpcli.trials.spec import Spec

pytestmark = pytest.mark.usefixtures("_anything_is_learnt")


@pytest.fixture
def short(config: Config) -> Config:
    return with_overrides(
        config, {"sweep.epochs": 2, "sweep.seeds": 2, "data.train_fraction": 0.1, "schedule.max_lr": 3e-3}
    )


def summary_of(result: SweepResult) -> dict[str, Any]:
    return dict(result.summary())


@pytest.mark.parametrize("name", ["adamw", "sgd"])
def test_every_trial_is_the_run_that_train_would_make(short: Config, name: str) -> None:
    """One trainer for all, put back to its start: bit for bit what a trainer of its own gives."""
    short = with_overrides(short, {"optimizer.name": name})
    varied: list[dict[str, list[object]]] = [{"weight_decay": [1e-4, 1.0]}, {"momentum": ["0.95-0.85", 0.5]}]
    for vary in varied:
        result = sweep(short, vary)
        for index, setting in enumerate(result.settings):
            for seed in (0, 1):
                alone = train(with_overrides(setting.config, {"seed": seed}))
                assert alone.valid_loss == result.losses[index, seed]
                assert alone.epochs["valid_loss"].tolist() == result.curves[index, seed].tolist()
                own = result.runs[result.grid[index][seed].trial]
                assert own.steps["train_loss"].tolist() == alone.steps["train_loss"].tolist()
                assert own.weight_norms == alone.weight_norms


def test_the_result_and_its_summary(short: Config) -> None:
    recorder, lines = MemoryRecorder(), list[Progress]()
    result = sweep(short, {"weight_decay": [1e-4, 1e-2, 100]}, recorder=recorder, on_progress=lines.append)
    assert result.status == RunStatus.FINISHED
    assert result.losses.shape == (3, 2)
    assert result.curves.shape == (3, 2, 2)
    assert [column.name for column in columns_of(SweepTrial)] == [
        "trial", "value", "seed", "status", "valid_loss", "valid_accuracy", "valid_top5", "seconds", "parameter",
        "running_loss", "reused",
    ]  # fmt: skip
    rows = recorder.rows(SweepTrial)
    assert [(row.value, row.seed) for row in rows] == [
        (value, seed) for seed in (0, 1) for value in ("1e-4", "0.01", "100")
    ]
    assert tuple(rows) == result.trials
    for row in rows:
        own = result.runs[row.trial]
        assert (row.status, row.parameter, row.reused) == (RunStatus.FINISHED, "optimizer.weight_decay", False)
        assert (row.valid_loss, row.valid_accuracy, row.valid_top5) == (
            own.valid_loss,
            own.valid_accuracy,
            own.valid_top5,
        )
    summary = summary_of(result)
    assert {
        "parameter", "best", "choice", "choice_reason", "ranking", "noise_sd", "seed_correlation", "resolution",
        "seeds_for_matters", "trained", "reused", "sentence",
    } <= summary.keys()  # fmt: skip
    assert (summary["parameter"], summary["trained"], summary["reused"]) == ("optimizer.weight_decay", 6, 0)
    means = [line["mean_valid_loss"] for line in summary["ranking"]]
    assert means == sorted(means)
    assert means == pytest.approx(sorted(result.losses.mean(1)))
    assert summary["best"] == summary["ranking"][0]["value"]
    assert result.choice is not None
    assert isinstance(result.choice.reason, Reason)
    assert summary["choice"] == result.settings[result.choice.index].plain
    assert summary["choice_reason"] == result.choice.words
    (strong,) = [line for line in summary["ranking"] if line["value"] == 100.0]
    assert strong["decay_budget"] > 0.5
    assert strong["weight_growth"]["body"] < 0.9
    spoken = [each.line for each in lines if each.line]
    assert spoken[0].startswith("1e-4 and 0.01: no systematic difference expected in 2 epochs")
    assert spoken[1].startswith("1e-4, seed 0: valid loss")
    assert spoken[2].startswith("5 more trials, about")
    steps = [each.done for each in lines if each.loss is not None]
    assert steps == list(range(1, 6 * 2 * 3 + 1))  # one bar for all


def test_a_forecast_knows_that_trials_differ_in_length(short: Config) -> None:
    lines: list[Progress] = []
    asked = with_overrides(short, {"sweep.values": {"train.epochs": [1, 40]}, "sweep.seeds": 1})
    result = sweep(asked, on_progress=lines.append)
    (said,) = [each.line for each in lines if each.line and "1 more trial, about" in each.line]
    seconds = float(said.removeprefix("1 more trial, about ").removesuffix(" s"))
    assert seconds == pytest.approx(40 * (result.trials[0].seconds or 0), abs=0.51)


def test_the_result_comes_back_from_what_was_recorded(short: Config) -> None:
    asked = with_overrides(short, {"sweep.values": {"optimizer.weight_decay": [1e-4, 1e-2, 100]}})
    recorder = MemoryRecorder(asked)
    result = sweep(asked, recorder=recorder)
    recorder.finish(result.status, result.summary())
    again = SweepResult.from_run(recorder)
    assert again.summary() == result.summary()
    assert again.losses.tolist() == result.losses.tolist()
    assert again.curves.tolist() == result.curves.tolist()
    assert (again.status, again.config, again.settings) == (result.status, asked, result.settings)


def test_values_of_the_config_are_swept_without_being_passed(short: Config) -> None:
    named = with_overrides(short, {"sweep.values": {"optimizer.weight_decay": [1e-4, 1]}})
    passed = sweep(short, {"weight_decay": [1e-4, 1.0]})
    assert passed.config == named
    assert sweep(named).losses.tolist() == passed.losses.tolist()
    with pytest.raises(UsageError, match=r"sweep\.values: none given"):
        sweep(short)


def test_nothing_is_trained_twice(short: Config) -> None:
    recorder = MemoryRecorder()
    first = sweep(short, {"weight_decay": [1e-4, 1e-2]}, recorder=recorder)
    again = sweep(short, {"weight_decay": [1e-4, 1e-2]}, recorder=recorder)
    assert (again.summary()["trained"], again.summary()["reused"]) == (0, 4)
    assert all(trial.reused for trial in again.trials)
    assert again.losses.tolist() == first.losses.tolist()
    assert again.curves.tolist() == first.curves.tolist()
    more = sweep(short, {"weight_decay": [1e-4, 1e-2, 1]}, recorder=recorder)
    assert (more.summary()["trained"], more.summary()["reused"]) == (2, 4)
    assert {trial.value for trial in more.trials if not trial.reused} == {"1"}
    seeds = sweep(with_overrides(short, {"sweep.seeds": 3}), {"weight_decay": [1e-4, 1e-2]}, recorder=recorder)
    assert (seeds.summary()["trained"], seeds.summary()["reused"]) == (2, 4)
    assert {trial.seed for trial in seeds.trials if not trial.reused} == {2}


def test_one_trainer_is_built(short: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    built: list[Trainer] = []
    real = Trainer.__init__

    def counted(self: Trainer, *parts: Any, **about: Any) -> None:
        built.append(self)
        real(self, *parts, **about)

    monkeypatch.setattr(Trainer, "__init__", counted)
    sweep(short, {"schedule.max_lr": [1e-3, 1e-2], "weight_decay": [0, 1e-2]})
    assert len(built) == 1
    sweep(short, {"data.batch_size": [16, 32]})
    assert len(built) == 5


def test_diverged_trials_never_win_and_stop_no_other(short: Config) -> None:
    result = sweep(short, {"schedule.max_lr": [1e-3, 1e-2, 1e9]})
    assert result.verdict is not None
    assert result.verdict.comparisons[2].verdict == Judgement.DIVERGED
    assert np.isnan(result.losses[2]).all()
    assert np.isfinite(result.losses[:2]).all()
    assert result.status == RunStatus.FINISHED
    assert {row.status for row in result.trials} == {RunStatus.FINISHED, RunStatus.DIVERGED}
    assert result.summary()["best"] != 1e9
    lost = sweep(short, {"schedule.max_lr": [1e8, 1e9]})
    assert lost.status == RunStatus.DIVERGED
    assert lost.choice is None
    assert "no value trained" in str(lost.summary()["sentence"])


def test_failed_trials_are_states(short: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    real, fails = run.run_trial, {1e-2}

    def fake(spec: Spec, recorder: ChildRecorder, **about: Any) -> TrainResult:
        if spec.config.optimizer.weight_decay in fails:
            raise RuntimeError("a fault of the model")
        return real(spec, recorder, **about)

    monkeypatch.setattr(run, "run_trial", fake)
    recorder, lines = MemoryRecorder(), list[Progress]()
    three: dict[str, list[object]] = {"weight_decay": [1e-4, 1e-3, 1e-2]}
    result = sweep(short, three, recorder=recorder, on_progress=lines.append)
    assert (result.status, result.num_failed, result.summary()["failed"]) == (RunStatus.FINISHED, 2, 2)
    assert {trial.status for trial in result.trials if trial.value == "0.01"} == {RunStatus.FAILED}
    assert result.verdict is not None
    assert result.verdict.comparisons[2].verdict == Judgement.MISSING
    assert not result.verdict.comparisons[2].candidate
    assert "0.01 misses runs, which failed or were not made." in str(result.summary()["sentence"])
    assert any("0.01, seed 0: failed (RuntimeError('a fault of the model'))" in (each.line or "") for each in lines)
    assert [(look.plan, look.values) for look in result.looks] == [(1, 2)]
    fails.clear()
    mended = sweep(short, three, recorder=recorder)
    assert [(look.plan, look.values) for look in mended.looks] == [(1, 2), (2, 3)]  # one more value to be wrong about
    assert (mended.summary()["trained"], mended.summary()["reused"], mended.num_failed) == (2, 4, 0)
    fails |= {1e-4, 1e-3}
    assert sweep(short, {"weight_decay": [1e-4, 1e-3]}).status == RunStatus.FAILED

    def full(spec: Spec, recorder: ChildRecorder, **about: Any) -> TrainResult:
        raise StorageError(28, "No space left on device", "runs/a")

    monkeypatch.setattr(run, "run_trial", full)
    with pytest.raises(StorageError, match="No space"):
        sweep(short, {"weight_decay": [1e-4, 1e-3]})


class Stopping(MemoryRecorder):
    """Asks to stop after so many steps, in trials too."""

    left = 0

    def should_stop(self) -> bool:
        Stopping.left -= 1
        return Stopping.left < 0

    def new_child(self, config: Config) -> MemoryRecorder:
        return Stopping(config)


def test_an_interrupted_sweep_goes_on(short: Config) -> None:
    two: dict[str, list[object]] = {"weight_decay": [1e-4, 1]}
    whole = sweep(short, two)
    recorder = Stopping()
    Stopping.left = 10
    cut = sweep(short, two, recorder=recorder)
    assert cut.status == RunStatus.INTERRUPTED
    assert {RunStatus.WAITING, RunStatus.FINISHED} <= {row.status for row in cut.trials}
    Stopping.left = 10**9
    done = sweep(short, two, recorder=recorder)
    assert done.status == RunStatus.FINISHED
    reused = done.summary()["reused"]
    assert reused == sum(row.status == RunStatus.FINISHED for row in cut.trials) > 0
    assert done.losses.tolist() == whole.losses.tolist()


def test_seeds_by_forecast(short: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    auto = with_overrides(short, {"sweep.seeds": "auto", "sweep.epochs": 1})
    two: dict[str, list[object]] = {"weight_decay": [0, 1]}
    assert sweep(auto, two).losses.shape == (2, 5)
    monkeypatch.setattr(seed_rule, "AUTO_SECONDS", 0.0)
    recorder = MemoryRecorder()
    assert sweep(auto, two, recorder=recorder).losses.shape == (2, 3)
    monkeypatch.setattr(seed_rule, "AUTO_SECONDS", 300.0)
    again = sweep(auto, two, recorder=recorder)  # as was decided
    assert (again.losses.shape, again.summary()["trained"]) == ((2, 3), 0)


def faked(monkeypatch: pytest.MonkeyPatch, loss_of: Callable[[Config], float]) -> None:
    """Trials that end with a loss of our making."""

    def fake(spec: Spec, recorder: ChildRecorder, **_: Any) -> TrainResult:
        loss = loss_of(spec.config)
        recorder.add(Epoch(0, 0, loss, loss, loss, 0.5, 0.9, 0.01, 0.9, 0.1))
        recorder.finish(RunStatus.FINISHED, {})
        return TrainResult.from_run(recorder)

    monkeypatch.setattr(run, "run_trial", fake)


def test_refine_finds_what_lies_between(short: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    def bowl(config: Config) -> float:
        noise = np.random.default_rng([config.seed, int(-math.log10(config.optimizer.weight_decay) * 100)])
        return (math.log10(config.optimizer.weight_decay) + 3.5) ** 2 / 10 + 1 + float(noise.normal(0, 0.003))

    faked(monkeypatch, bowl)
    refining = with_overrides(short, {"sweep.refine": True})
    values = {"optimizer.weight_decay": [1e-5, 1e-4, 1e-3]}
    asked = with_overrides(refining, {"sweep.seeds": 3, "sweep.values": values})
    recorder = MemoryRecorder(asked)
    result = sweep(asked, recorder=recorder)
    assert "3e-4" in [setting.name for setting in result.settings]
    assert result.summary()["choice"] == 3e-4
    assert len(result.settings) <= 10
    assert result.config.sweep.values == values  # what was asked
    recorder.finish(result.status, result.summary())
    again = SweepResult.from_run(recorder)  # with the values that were added
    assert again.settings == result.settings
    assert again.losses.tolist() == result.losses.tolist()
    assert again.summary() == result.summary()
    with pytest.raises(UsageError, match="--refine: takes one key"):
        sweep(refining, {"momentum": ["0.95-0.85"]})
    with pytest.raises(UsageError, match="--refine: takes one key"):
        sweep(refining, {"weight_decay": [1e-3], "schedule.max_lr": [1e-3]})
    with pytest.raises(ConfigError, match="one at a time"):
        with_overrides(refining, {"sweep.until_decided": True})


def test_seeds_are_added_until_decided(short: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    def far(config: Config) -> float:
        return config.optimizer.weight_decay + float(np.random.default_rng([config.seed, 1]).normal(0, 0.01))

    faked(monkeypatch, far)
    three = with_overrides(short, {"sweep.seeds": 3, "sweep.until_decided": True, "sweep.max_seeds": 8})
    assert sweep(three, {"weight_decay": [1, 2, 4]}).losses.shape == (3, 3)

    def near(config: Config) -> float:
        noise = np.random.default_rng([config.seed, int(config.optimizer.weight_decay * 1000)])
        return 1 + float(noise.normal(0, 0.1))

    faked(monkeypatch, near)
    result = sweep(three, {"weight_decay": [1, 2, 4]})
    assert result.losses.shape == (3, 8)
    assert result.seeds == tuple(range(8))


def test_two_keys_make_pairs(short: Config) -> None:
    result = sweep(short, {"schedule.max_lr": [1e-3, 1e-2], "weight_decay": [0, 1]})
    assert result.keys == ("schedule.max_lr", "optimizer.weight_decay")
    summary = summary_of(result)
    assert summary["parameter"] == "schedule.max_lr & optimizer.weight_decay"
    assert isinstance(summary["choice"], list)
    assert sorted(line["value"] for line in summary["ranking"]) == [[1e-3, 0], [1e-3, 1], [1e-2, 0], [1e-2, 1]]
    assert result.scale == (None, False)


def test_values_that_change_nothing_are_equal(short: Config) -> None:
    """Their runs are the same to the bit, so that there is no noise at all to measure them by."""
    sgd = with_overrides(short, {"optimizer.name": "sgd"})
    result = sweep(sgd, {"optimizer.beta2": [0.9, 0.99]})
    assert result.losses[0].tolist() == result.losses[1].tolist()
    assert result.verdict is not None
    assert [each.verdict for each in result.verdict.comparisons] == [Judgement.BEST, Judgement.EQUAL]
    summary = summary_of(result)
    assert (summary["noise_sd"], summary["resolution"], summary["seeds_for_matters"]) == (0, 0, [2, 2])
    assert (summary["choice"], result.choice and result.choice.reason) == (0.99, Reason.KEPT)


def test_batch_sizes_and_their_time(short: Config) -> None:
    result = sweep(short, {"data.batch_size": [16, 32]})
    assert (result.seconds > 0).all()
    assert result.costs_differ
    assert result.scale == ((16.0, 32.0), False)
    with pytest.raises(ConfigError, match=r"data.batch_size: 5000 is more than the \d+ training images"):
        sweep(short, {"data.batch_size": [16, 5000]})


def test_the_test_images_are_not_touched(short: Config) -> None:
    recorder = MemoryRecorder()
    result = sweep(short, {"weight_decay": [0]}, recorder=recorder)
    assert len(result.trials) == len(recorder.children) == 2
    assert all(own.test is None and "test_loss" not in own.summary() for own in result.runs.values())
    assert not any(child.rows(FinalTest) for child in recorder.children.values())


def test_trials_are_kept_under_the_keys_of_their_specs(short: Config) -> None:
    recorder = MemoryRecorder()
    result = sweep(short, {"weight_decay": [0]}, recorder=recorder)
    (setting,) = settings(result.config)
    specs = [Spec.of(setting, seed) for seed in (0, 1)]
    assert list(recorder.children) == [spec.key for spec in specs]
    assert [child.config for child in recorder.children.values()] == [spec.config for spec in specs]


RESNET = {"model.name": "resnet20", "model.options": {"num_blocks": [1, 1, 1]}, "data.train_fraction": 1.0}


def test_short_trials_are_judged_by_statistics_measured_anew(short: Config) -> None:
    """A high learning rate leaves BatchNorm's running averages far behind: by them it would be the worst of all."""
    one = with_overrides(short, {**RESNET, "data.batch_size": 64, "sweep.epochs": 1})
    result = sweep(one, {"schedule.max_lr": [1e-3, 1e-1]})
    by_averages = [[trial.running_loss or 0.0 for trial in row] for row in result.grid]
    assert np.mean(by_averages[1]) > 10 * np.mean(by_averages[0])
    assert result.losses[1].mean() < 2.3
    for trial in result.trials:
        own = result.runs[trial.trial]
        assert own.reestimated is not None
        assert (trial.valid_loss, trial.running_loss) == (own.reestimated.loss, own.valid_loss)
        assert own.reestimated.steps_to_settle == 50
    assert "too short for BatchNorm's running averages" in str(result.summary()["sentence"])


def test_where_the_averages_have_settled_nothing_is_measured_anew(short: Config) -> None:
    many = with_overrides(short, {**RESNET, "data.batch_size": 32, "sweep.epochs": 2, "sweep.seeds": 1})
    result = sweep(with_overrides(many, {"data.train_fraction": 0.8}), {"schedule.max_lr": [1e-2]})
    (trial,) = result.trials
    assert trial.running_loss is None
    assert trial.valid_loss == result.runs[trial.trial].valid_loss
    assert "BatchNorm" not in str(result.summary()["sentence"])


def test_looks_share_the_level_over_resumes(short: Config) -> None:
    """A sweep that is asked again with more seeds, or another value, is judged more strictly each time."""
    recorder, vary = MemoryRecorder(), {"weight_decay": [1e-4, 1e-2]}
    levels = [
        sweep(with_overrides(short, {"sweep.seeds": seeds}), vary, recorder=recorder).level for seeds in (2, 2, 3, 4)
    ]
    first = 0.05 * 6 / math.pi**2
    assert levels == pytest.approx([first, first, first / 4, first / 9])
    more = sweep(with_overrides(short, {"sweep.seeds": 4}), {"weight_decay": [1e-4, 1e-2, 1.0]}, recorder=recorder)
    assert more.level == pytest.approx(first / 16)
    rows = [(look.plan, look.values, look.seeds) for look in recorder.rows(SweepLook)]
    assert rows == [(1, 2, 2), (2, 2, 3), (3, 2, 4), (4, 3, 4)]


def test_looks_of_a_sweep_until_decided_share_its_level(short: Config) -> None:
    own = {"sweep.until_decided": True, "sweep.max_seeds": 4, "sweep.seeds": 2}
    result = sweep(with_overrides(short, own), {"weight_decay": [1e-4, 1e-2]})
    assert {look.plan for look in result.looks} == {1}
    assert all(look.level == pytest.approx(0.05 * 6 / math.pi**2 / 3) for look in result.looks)
    assert [look.seeds for look in result.looks] == [2, 3, 4][: len(result.looks)]
