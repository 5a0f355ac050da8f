"""Values of a sweep compared alike: each at its own learning rate; and what is said before and after."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from hpcli import sweep
from hpcli.analysis.decay import carried
from hpcli.analysis.power import Foreseen, found_gap
from hpcli.config import Config, with_overrides
from hpcli.config.varying import settings
from hpcli.errors import UsageError
from hpcli.recording.memory import MemoryRecorder
from hpcli.recording.progress import Progress
from hpcli.recording.recorder import ChildRecorder
from hpcli.results.data import ClassImages, DataFacts
from hpcli.results.fresh import FreshTrial
from hpcli.results.horizon import horizon, longer
from hpcli.results.retune import RetuneTrial
from hpcli.results.sweep import SweepResult
from hpcli.results.train import Epoch, TrainResult
from hpcli.states import RunStatus
from hpcli.trials import run
from hpcli.trials.spec import Spec

pytestmark = pytest.mark.usefixtures("_anything_is_learnt")
Faked = Callable[[Callable[[Config], float]], list[Config]]


@pytest.fixture
def faked(monkeypatch: pytest.MonkeyPatch) -> Faked:
    """Trials end with a loss of our making; returned are the configs of those that were trained."""
    trained: list[Config] = []

    def install(loss_of: Callable[[Config], float]) -> list[Config]:
        def fake(spec: Spec, recorder: ChildRecorder, **_: Any) -> TrainResult:
            if not recorder.status.is_over:
                trained.append(spec.config)
                loss = loss_of(spec.config)
                recorder.add(Epoch(0, 0, loss, loss, loss, 0.5, 0.9, 0.01, 0.9, 0.1))
                recorder.finish(RunStatus.FINISHED, {})
            return TrainResult.from_run(recorder)

        monkeypatch.setattr(run, "run_trial", fake)
        return trained

    return install


@pytest.fixture
def short(config: Config) -> Config:
    return with_overrides(config, {"sweep.epochs": 2, "sweep.seeds": 3, "data.train_fraction": 0.1})


def noise(config: Config, sd: float) -> float:
    key = f"{config.optimizer.weight_decay} {config.schedule.max_lr} {config.schedule.momentum}".encode()
    return float(np.random.default_rng([config.seed, *key]).normal(0, sd))


def by_momentum(config: Config) -> float:
    """0.99 is the better one, but wants a tenth of the learning rate, and is far worse at the other's."""
    best = {0.9: 1e-2, 0.99: 1e-3}[config.schedule.momentum.high]
    return (
        1.0 - config.schedule.momentum.high / 5 + abs(math.log10(config.schedule.max_lr / best)) + noise(config, 0.01)
    )


def test_each_value_at_its_own_best_learning_rate(short: Config, faked: Faked) -> None:
    trained = faked(by_momentum)
    momenta = {"schedule.momentum": [0.9, 0.99]}
    plain = sweep(short, momenta)
    assert plain.summary()["choice"] == 0.9
    trained.clear()
    rates = [1e-3, 3e-3, 1e-2, 3e-2]
    asked = with_overrides(short, {"sweep.values": momenta, "sweep.retune": {"schedule.max_lr": rates}})
    recorder = MemoryRecorder(asked)
    result = sweep(asked, recorder=recorder)
    assert result.summary()["choice"] == 0.99
    assert [dict(setting.also) for setting in result.settings] == [{"schedule.max_lr": 1e-2}, {"schedule.max_lr": 1e-3}]
    assert [(each.schedule.max_lr, each.seed) for each in trained[-6:]] == [
        (rate, seed) for seed in (0, 1, 2) for rate in (1e-2, 1e-3)
    ]
    assert {each.seed for each in trained[:-6]} == {100, 101}  # what judges has not chosen
    assert len(recorder.rows(RetuneTrial)) == 2 * 4 * 2
    assert (
        "Each at its own schedule.max_lr, chosen on 2 other seeds: 0.9 at 0.01, 0.99 at 1e-3 (at the edge of what was "
        "tried)."
    ) in str(result.summary()["sentence"])
    recorder.finish(result.status, result.summary())
    again = SweepResult.from_run(recorder)
    assert (again.settings, again.summary()) == (result.settings, result.summary())
    trained.clear()
    assert sweep(asked, recorder=recorder).summary()["trained"] == 0
    assert not trained


def test_seeds_by_forecast_are_retuned_too(short: Config, faked: Faked) -> None:
    """The trial that is timed is one of those that judge: at its value's own learning rate, and trained once."""
    trained = faked(by_momentum)
    own = {"sweep.seeds": "auto", "sweep.retune": {"schedule.max_lr": [1e-3, 1e-2]}}
    result = sweep(with_overrides(short, own), {"schedule.momentum": [0.9, 0.99]})
    judging = [(each.seed, each.schedule.momentum.high, each.schedule.max_lr) for each in trained if each.seed < 100]
    assert judging == [(seed, *both) for seed in range(5) for both in ((0.9, 1e-2), (0.99, 1e-3))]
    assert result.summary()["choice"] == 0.99


def test_a_trial_that_fails_is_not_tried_again_by_the_same_process(
    short: Config, faked: Faked, monkeypatch: pytest.MonkeyPatch
) -> None:
    faked(lambda config: 1.0 + noise(config, 0.05))
    real, failed = run.run_trial, list[tuple[float, int]]()

    def fake(spec: Spec, recorder: ChildRecorder, **about: Any) -> TrainResult:
        if spec.config.optimizer.weight_decay == 1.0:
            failed.append((1.0, spec.seed))
            raise RuntimeError("a fault of the model")
        return real(spec, recorder, **about)

    monkeypatch.setattr(run, "run_trial", fake)
    own = {"sweep.until_decided": True, "sweep.seeds": 3, "sweep.max_seeds": 6}
    result = sweep(with_overrides(short, own), {"weight_decay": [1e-4, 1e-2, 1.0]})
    assert failed == [(1.0, seed) for seed in range(6)]
    assert result.num_failed == 6


def test_the_time_that_is_left_is_said_of_retuning_and_of_judging(short: Config, faked: Faked) -> None:
    faked(by_momentum)
    lines: list[Progress] = []
    own = {"sweep.retune": {"schedule.max_lr": [1e-3, 3e-3, 1e-2]}}
    sweep(with_overrides(short, own), {"schedule.momentum": [0.9, 0.99]}, on_progress=lines.append)
    said = [each.line for each in lines if each.line]
    assert [line.split(",")[0] for line in said if " more trials" in line] == ["11 more trials", "5 more trials"]
    assert sum(line.startswith("Each at its own") for line in said) == 1


def test_what_diverges_is_not_given_to_a_value(short: Config, faked: Faked) -> None:
    faked(lambda config: math.nan if config.schedule.max_lr > 5e-3 else 1 / config.schedule.max_lr)
    own = {"sweep.retune": {"schedule.max_lr": [1e-3, 3e-3, 1e-2]}}
    result = sweep(with_overrides(short, own), {"weight_decay": [0, 1e-2]})
    assert {setting.config.schedule.max_lr for setting in result.settings} == {3e-3}


def test_the_swept_key_is_not_retuned(short: Config) -> None:
    with pytest.raises(UsageError, match=r"--retune schedule\.max_lr: is what is swept"):
        sweep(with_overrides(short, {"sweep.retune": {"schedule.max_lr": [1e-3]}}), {"schedule.max_lr": [1e-3, 1e-2]})


def test_a_refined_value_is_reported_on_fresh_seeds(short: Config, faked: Faked) -> None:
    """The lowest of many noisy means is too low; fresh seeds are not."""

    def flat(config: Config) -> float:
        return 1.0 + abs(math.log10(config.optimizer.weight_decay) + 3) * 0.02 + noise(config, 0.01)

    trained = faked(flat)
    values = {"optimizer.weight_decay": [1e-5, 1e-3, 1e-1]}
    asked = with_overrides(short, {"sweep.values": values, "sweep.refine": True})
    recorder = MemoryRecorder(asked)
    result = sweep(asked, recorder=recorder)
    assert result.choice is not None
    chosen = result.settings[result.choice.index]
    assert [(each.optimizer.weight_decay, each.seed) for each in trained[-3:]] == [
        (chosen.config.optimizer.weight_decay, seed) for seed in (200, 201, 202)
    ]
    losses = [row.valid_loss for row in recorder.rows(FreshTrial)]
    assert result.fresh is not None
    assert result.fresh.mean == pytest.approx(np.mean(losses))  # type: ignore[arg-type]
    assert f"On 3 fresh seeds {chosen.name} has a loss of {result.fresh.mean:.3g} ± " in str(
        result.summary()["sentence"]
    )
    recorder.finish(result.status, result.summary())
    assert SweepResult.from_run(recorder).summary() == result.summary()
    assert sweep(short, {"weight_decay": [1e-4, 1e-3]}).fresh is None  # only what was refined was picked so


def test_what_the_plan_can_find_is_said_after_two_seeds(short: Config, faked: Faked) -> None:
    faked(lambda config: 1.0 + noise(config, 0.05))
    lines: list[Progress] = []
    vary = {"weight_decay": [1e-4, 1e-2, 1.0]}
    sweep(with_overrides(short, {"sweep.seeds": 5}), vary, on_progress=lines.append)
    said = [each.line for each in lines if each.line]
    (place,) = [index for index, line in enumerate(said) if "four times out of five" in line]
    assert said[place - 1].startswith("1, seed 1: ")
    assert said[place].startswith("by the noise so far, 5 seeds find differences of about 0.")
    assert said[place].endswith(
        "this plan can hardly decide; more seeds (--seeds) can, longer runs (--epochs), or a larger --matters"
    )
    faked(lambda config: 1.0 + noise(config, 0.0005))
    lines.clear()
    sweep(with_overrides(short, {"sweep.seeds": 5}), vary, on_progress=lines.append)
    (fine,) = [each.line for each in lines if each.line and "four times out of five" in each.line]
    assert fine.endswith("what matters is 0.01")
    lines.clear()
    sweep(with_overrides(short, {"sweep.seeds": 2}), vary, on_progress=lines.append)
    assert not any("four times out of five" in (each.line or "") for each in lines)  # the verdict says it at once


@pytest.mark.parametrize(("values", "seeds"), [(3, 5), (5, 3)])
def test_the_foreseen_difference_is_found_as_often_as_said(values: int, seeds: int) -> None:
    """Of 400 plans each, the noise estimated from two seeds: what is really found four times out of five lies in the span."""
    random, df = np.random.default_rng(0), values - 1
    right = found_gap(values, seeds, (values - 1) * (seeds - 1), 0.05)
    spans = [
        Foreseen.of(math.sqrt(random.chisquare(df) / df), df, num_values=values, num_seeds=seeds) for _ in range(400)
    ]
    assert 0.86 <= np.mean([each.low <= right <= each.high for each in spans]) <= 0.94
    assert 0.44 <= np.mean([each.difference <= right for each in spans]) <= 0.56


@pytest.fixture
def whole(config: Config) -> Config:
    return with_overrides(config, {"sweep.epochs": 2, "data.train_fraction": 1.0, "data.batch_size": 100})


def facts(images: int, share: float | None = None) -> DataFacts:
    classes = (ClassImages(0, "one", images // 2, 0, 0), ClassImages(1, "two", images - images // 2, 0, 0))
    return DataFacts(classes, share=share)


def test_the_sentence_says_what_the_runs_were(whole: Config) -> None:
    decays = settings(with_overrides(whole, {"sweep.values": {"optimizer.weight_decay": [0, 1]}}))
    assert horizon(decays, facts(1234)) == "For 2-epoch cycles (24 steps on 1,234 images)"
    sizes = settings(with_overrides(whole, {"sweep.values": {"data.batch_size": [100, 400]}}))
    assert horizon(sizes, facts(1234)) == "For 2-epoch cycles (6 to 24 steps on 1,234 images)"
    lengths = settings(with_overrides(whole, {"sweep.values": {"train.epochs": [1, 4]}}))
    assert horizon(lengths, facts(1234)) == "For cycles of 1 to 4 epochs (12 to 48 steps on 1,234 images)"
    shares = settings(with_overrides(whole, {"sweep.values": {"data.train_fraction": [0.5, 1.0]}}))
    for own in (facts(1234, 1.0), facts(617, 0.5)):
        assert horizon(shares, own) == "For 2-epoch cycles (12 to 24 steps on 617 to 1,234 images)"


def test_a_decay_for_a_longer_run_is_copied_and_compared(whole: Config) -> None:
    decays = {"sweep.values": {"optimizer.weight_decay": [0, 0.01]}}
    none, some = settings(with_overrides(whole, decays))
    ahead = longer(some, facts(1000), 15)
    assert ahead is not None
    assert (ahead.brackets, ahead.on_all_images) == ((0.0025, 0.01, 0.04), None)
    assert longer(some, facts(1000), 2) is None
    assert longer(none, facts(1000), 15) is None


@pytest.mark.parametrize("optimizer", [{}, {"optimizer.name": "sgd", "optimizer.decay": "coupled"}])
def test_a_decay_for_more_images_goes_by_the_sum_of_learning_rates(whole: Config, optimizer: dict[str, str]) -> None:
    """Four times the steps of the same shape, four times the sum: a quarter of the decay."""
    own = {"sweep.values": {"optimizer.weight_decay": [0.01]}, "data.batch_size": 10, "data.train_fraction": 0.25}
    (some,) = settings(with_overrides(whole, own | optimizer))
    ahead = longer(some, facts(1000), 2)
    assert ahead is not None
    assert ahead.brackets == ()
    assert ahead.on_all_images == pytest.approx(0.0025, rel=0.01)
    assert carried(0.01, np.array([1.0, 1.0]), np.array([1.0, 2.0, 1.0])) == 0.005
