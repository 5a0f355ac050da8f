"""`tune` where losses are given instead of trained: what is decided from them, and what is said."""

from __future__ import annotations

import dataclasses
import math
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, cast

import numpy as np
import pytest

import hpcli.experiments.tune as module
from hpcli import Config, MemoryRecorder, TuneResult, load_config, tune, with_overrides
from hpcli.config.varying import value_of
from hpcli.data.dataset import Splits, load_splits
from hpcli.errors import ConfigError
from hpcli.experiments.train import train
from hpcli.recording.progress import OnProgress
from hpcli.results.data import DataFacts
from hpcli.results.key_words import effect
from hpcli.results.train import TrainResult
from hpcli.results.tune_trials import TuneRange
from hpcli.results.tune_words import best_yaml, sentence
from hpcli.states import RunStatus
from hpcli.trials.executor import Outcome
from hpcli.trials.spec import Spec

Loss = Callable[[Config, int], float]
LR, MOMENTUM, DECAY = "schedule.max_lr", "schedule.momentum", "optimizer.weight_decay"


@pytest.fixture(scope="module")
def base() -> Config:
    keys = {"data.name": "digits", "data.batch_size": 32, "data.steps_per_epoch": 5, "model.name": "shallow3"}
    return load_config(overrides={**keys, "train.epochs": 1, "tune.until": "verdict"})


@pytest.fixture(scope="module")
def splits(base: Config) -> Splits:
    return load_splits(base)


class Given:
    """Tunes with losses of a function of config and seed; NaN: the run diverges; infinite: it fails."""

    def __init__(self, base: Config, splits: Splits, monkeypatch: pytest.MonkeyPatch) -> None:
        self.base, self.splits = base, splits
        self.seconds: Callable[[float], float] = lambda loss: 1.0
        self.seeds: list[int] = []
        monkeypatch.setattr(module, "SerialExecutor", lambda recorder, trainers: self)

    at_once = 1

    def run(self, specs: Sequence[Spec], on_progress: OnProgress) -> Iterator[Outcome]:
        for spec in specs:
            loss = self.loss(spec.config, spec.seed)
            self.seeds.append(spec.seed)
            status = RunStatus.DIVERGED if math.isnan(loss) else RunStatus.FINISHED
            status = RunStatus.FAILED if math.isinf(loss) else status
            found = loss if math.isfinite(loss) else None
            result = types.SimpleNamespace(judged=(found, 0.5, None), valid_loss=found, reestimated=None, status=status)
            yield Outcome(spec, status, cast(TrainResult, result), self.seconds(loss))

    def tune(self, loss: Loss, keys: Mapping[str, Any], recorder: MemoryRecorder | None = None) -> TuneResult:
        self.loss = loss
        config = with_overrides(self.base, keys)
        return tune(config, recorder=recorder or MemoryRecorder(config), splits=self.splits)


@pytest.fixture
def given(base: Config, splits: Splits, monkeypatch: pytest.MonkeyPatch) -> Given:
    return Given(base, splits, monkeypatch)


def bowl(config: Config, seed: int) -> float:
    """Lowest at a learning rate of .003, with 3 % noise."""
    noise = np.random.default_rng([seed, int(1e9 * config.schedule.max_lr)]).normal()
    return float(np.exp(-1 + 0.3 * np.log10(config.schedule.max_lr / 0.003) ** 2 + 0.03 * noise))


def test_a_search_that_grows_is_judged_anew(given: Given, base: Config) -> None:
    """Fewer pairs of as many runs leave more of them to the search: its winner is another, and so are the seeds."""
    recorder = MemoryRecorder(with_overrides(base, {"tune.runs": 12, "tune.confirm": 4}))
    first = given.tune(bowl, {"tune.runs": 12, "tune.confirm": 4}, recorder)
    assert first.plan is not None
    assert (first.plan.search, len(first.pairs)) == (4, 4)
    second = given.tune(bowl, {"tune.runs": 12, "tune.confirm": 1}, recorder)
    assert second.plan is not None
    assert (second.plan.search, len(second.pairs)) == (10, 1)
    assert second.plan.first_fresh > max(trial.seed for trial in first.fresh)
    assert {(each.value, each.seed) for each in first.fresh} < {(each.value, each.seed) for each in second.fresh}


def test_fewer_pairs_of_the_same_search_keep_those_there_are(given: Given, base: Config) -> None:
    recorder = MemoryRecorder(with_overrides(base, {"tune.runs": 16, "tune.confirm": 4}))
    given.tune(bowl, {"tune.runs": 16, "tune.confirm": 4}, recorder)
    fewer = given.tune(bowl, {"tune.runs": 10, "tune.confirm": 1}, recorder)
    assert len(fewer.pairs) == 4
    none = given.tune(bowl, {"tune.runs": 8, "tune.confirm": 0}, recorder)
    assert len(none.pairs) == 4
    assert "has not been compared" not in sentence(none)


def test_more_pairs_of_a_space_that_is_used_up_keep_those_there_are(given: Given, base: Config) -> None:
    space = {LR: [0.01], MOMENTUM: [0.9], DECAY: [0.01], "model.options.width": [8, 16]}
    keys = {"model.options": {"width": 16}, "tune.values": space, "tune.runs": 24}

    def narrow(config: Config, seed: int) -> float:
        return 0.5 + 0.2 * (value_of(config, "model.options.width") == 16) + 0.01 * (seed % 3)

    recorder = MemoryRecorder(with_overrides(base, keys))
    first = given.tune(narrow, keys, recorder)
    assert len(first.trials) <= 9
    assert len(first.pairs) == 3
    more = given.tune(narrow, {**keys, "tune.runs": 42, "tune.confirm": 12}, recorder)
    assert len(more.pairs) == 12
    assert {trial.seed for trial in first.fresh} <= {trial.seed for trial in more.fresh}
    assert len(more.fresh) == 24


@pytest.mark.parametrize("loss", [math.inf, math.nan, 2.3], ids=["failed", "diverged", "at chance"])
def test_what_does_not_train_on_fresh_seeds_is_not_recommended(given: Given, loss: float) -> None:
    """Neither a winner nor a present setting; and what failed is no per cent."""

    def only_present(config: Config, seed: int) -> float:
        return bowl(config, seed) if seed < 300 or config.schedule.max_lr == 0.01 else loss

    kept = given.tune(only_present, {"tune.runs": 24})
    assert kept.is_kept
    assert kept.choice == kept.present
    said = {math.inf: "failed", 2.3: "learnt nothing"}.get(loss, "diverged")
    assert f"on 3 fresh seeds: 3 of 3 runs with the search's best {said}." in sentence(kept)

    none = given.tune(lambda config, seed: bowl(config, seed) if seed < 300 else loss, {"tune.runs": 24})
    assert none.choice is None
    assert none.is_lost
    assert sentence(none).startswith(
        f"No value is recommended: on fresh seeds 3 of 3 runs with the present values {said} and 3 of 3 runs with "
        f"the search's best {said}. Lower the range of max_lr (tune.values)."
    )
    assert none.following is not None
    assert none.following.words == ("lr-find",)


def test_a_present_setting_whose_fresh_runs_fail_is_judged_by_the_surface(given: Given) -> None:
    found = given.tune(
        lambda config, seed: math.inf if seed >= 300 and config.schedule.max_lr == 0.01 else bowl(config, seed),
        {"tune.runs": 24},
    )
    assert len(found.pairs) == 0
    assert found.gain is not None
    assert (found.gain.estimate, found.is_kept) == (None, False)
    assert "3 of 3 runs with the present values failed" in sentence(found)
    assert "%" not in sentence(found).partition("The present values")[0]


@pytest.mark.parametrize("spread", [0.0, 0.005])
def test_where_nothing_matters_what_there_is_stays(given: Given, spread: float) -> None:
    def level(config: Config, seed: int) -> float:
        draw = np.random.default_rng([seed, int(1e9 * config.schedule.max_lr)]).normal()
        return float(0.5 * np.exp(spread * draw))

    for seed in range(3):
        found = given.tune(level, {"tune.runs": 24, "seed": seed})
        assert found.is_idle
        assert found.is_kept
        assert "nothing that was searched matters, by at most" in sentence(found)
        assert found.following is not None
        assert not any("to be surer" in note for note in found.following.notes)


@pytest.mark.parametrize(("epochs", "is_said"), [(1, False), (10, True)])
def test_a_longer_training_may_rank_differently(given: Given, epochs: int, is_said: bool) -> None:
    found = given.tune(bowl, {"tune.runs": 24, "tune.epochs": 2, "train.epochs": epochs, "schedule.max_lr": 0.06})
    assert found.following is not None
    notes = [note for note in found.following.notes if "may rank differently there" in note]
    assert len(notes) == is_said
    assert all("cycles of 2 epochs, and train.epochs is 10" in note for note in notes)


def test_a_value_that_fresh_seeds_show_to_be_worse_is_said_to_be(given: Given) -> None:
    """Beside the parts of its range, each of which counts by its best."""
    fixed = {MOMENTUM: [0.9], DECAY: [0.01]}
    found = given.tune(bowl, {"tune.runs": 24, "tune.values": fixed, "schedule.momentum": 0.9, "schedule.max_lr": 0.06})
    assert found.gain is not None
    assert found.gain.is_sure
    keys = cast(list[dict[str, str]], found.summary()["keys"])
    assert keys[0]["what it does"].endswith("; on fresh seeds the present 0.06 is worse")
    assert sum("on fresh seeds" in each["what it does"] for each in keys) == 1
    assert "on fresh seeds the present 0.06 is worse" in " ".join((best_yaml(found) or "").replace("#", "").split())


@pytest.mark.parametrize("outside", [{DECAY: [1e-4, 10]}, {LR: [0.0001, 0.001]}])
def test_a_range_is_compared_with_a_present_value_outside_it(given: Given, outside: dict[str, Any]) -> None:
    """A decay of 0, or a learning rate that is not searched, is what is kept: all that was searched is worse."""

    def better_outside(config: Config, seed: int) -> float:
        noise = np.random.default_rng([seed, int(1e9 * config.schedule.max_lr)]).normal()
        is_present = config.optimizer.weight_decay == 0 if DECAY in outside else config.schedule.max_lr == 0.01
        return float((0.5 if is_present else 0.8) * np.exp(0.01 * noise))

    found = given.tune(better_outside, {"tune.runs": 24, "optimizer.weight_decay": 0, "tune.values": outside})
    assert found.is_kept
    (key,) = outside
    said = {found.space[place].key: effect(found.space[place], found.profiles[place]) for place in range(3)}
    assert " is worse than the value to use, by " in said[key]
    assert "no difference found" not in said[key]
    assert "is worse than the value to use" not in said[MOMENTUM]


def test_best_yaml_says_that_the_training_diverged(given: Given, base: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    def diverging(*args: Any, **more: Any) -> TrainResult:
        return dataclasses.replace(train(*args, **more), status=RunStatus.DIVERGED)

    monkeypatch.setattr(module, "train", diverging)
    keys = {"tune.runs": 24, "tune.until": "train"}
    recorder = MemoryRecorder(with_overrides(base, keys))
    found = given.tune(bowl, keys, recorder)
    assert found.is_lost
    said = " ".join(recorder.texts["best.yaml"].replace("#", "").split())
    assert "The training at its own length diverged (train/): lower schedule.max_lr." in said


def test_a_gain_that_fresh_seeds_show_is_taken_though_the_surface_sees_nothing(given: Given) -> None:
    """Pairs are the plain reading of the numbers."""

    def only_fresh(config: Config, seed: int) -> float:
        if seed >= 300:
            return 0.5 if config.schedule.max_lr == 0.01 else 0.4
        return 0.5 - 0.001 * (config.schedule.max_lr < 0.005)

    found = given.tune(only_fresh, {"tune.runs": 24})
    assert all(profile.is_idle for profile in found.profiles)
    assert not found.is_kept


def test_nothing_is_looked_for_beyond_where_the_range_test_broke(given: Given, base: Config) -> None:
    recorder = MemoryRecorder(base)
    DataFacts.of(given.splits).record(recorder)
    for breaks in (False, True):
        recorder.replace(TuneRange, [TuneRange(LR, 2e-3, 0.06, "why", breaks)])
        space = TuneResult.from_rows(base, RunStatus.FINISHED, recorder).space
        assert (space[0].high, space[0].is_limit("upper")) == (0.06, breaks)


def test_what_is_to_come_is_counted_whole(given: Given, base: Config) -> None:
    """The search's runs and the verdict's, not the one that is next."""
    said: list[str] = []
    given.loss = bowl
    config = with_overrides(base, {"tune.runs": 24})
    recorder = MemoryRecorder(config)
    tune(config, recorder=recorder, splits=given.splits, on_progress=lambda each: said.append(each.line or ""))
    assert "23 more trials, about 23 s" in said
    assert "5 more trials, about 5 s" in said


def test_best_yaml_says_what_the_sentence_says_when_all_is_over(given: Given, base: Config) -> None:
    recorder = MemoryRecorder(with_overrides(base, {"tune.runs": 24}))
    given.tune(bowl, {"tune.runs": 24}, recorder)
    more = given.tune(bowl, {"tune.runs": 36, "tune.until": "search"}, recorder)
    assert recorder.texts["best.yaml"] == best_yaml(more)


def test_a_budget_of_time_is_divided_by_a_run_that_went_to_its_end(given: Given) -> None:
    """One that diverges at once takes next to no time, and would buy a thousand others."""
    given.seconds = lambda loss: 0.05 if math.isnan(loss) else 10.0
    lost: Loss = lambda config, seed: math.nan if config.schedule.max_lr == 0.01 else bowl(config, seed)  # noqa: E731
    result = given.tune(lost, {"tune.minutes": 4.0})
    assert result.plan is not None
    assert result.plan.runs == 24
    none = given.tune(lambda config, seed: math.nan, {"tune.minutes": 0.0105})
    assert none.plan is not None
    assert none.plan.runs == 12
    assert none.choice is None


def test_the_gain_that_pairs_would_show_is_shown_four_times_of_five(given: Given) -> None:
    """Where the present setting won the search: what three fresh seeds would show, tried by what shows it."""
    from hpcli.analysis.gain import PRIOR_DF, gain
    from hpcli.results.tune_words import SEEDS, shown_gap

    rng, found = np.random.default_rng(0), []
    for _ in range(4000):
        noise = math.sqrt(rng.chisquare(PRIOR_DF) / PRIOR_DF)  # what a surface takes for 1
        one, other = rng.normal(size=(2, SEEDS))
        found.append(gain(one + shown_gap(noise), other, on_surface=(0.0, 1.0), noise=noise).is_sure)
    assert 0.75 <= np.mean(found) <= 0.87


def test_a_choice_that_goes_with_nothing_is_refused_before_anything_runs(given: Given) -> None:
    with pytest.raises(ConfigError, match=r"schedule.name: cosine goes with none of the others' values"):
        given.tune(bowl, {"tune.values": {"schedule.name": ["one_cycle", "cosine"]}})
    assert not given.seeds
    both = {"schedule.name": ["one_cycle", "cosine"], MOMENTUM: [0.8, 0.9, "0.95-0.85"]}
    assert given.tune(bowl, {"tune.values": both, "tune.runs": 6}).status == RunStatus.FINISHED


@pytest.mark.parametrize("choices", [["18", "34"], ["true", "b"], ["null", "b"], ["a: b", "b"], ["1e-3", "b"]])
def test_choices_that_read_as_something_else_stay_text(given: Given, choices: list[str]) -> None:
    keys = {"model.options": {"variant": choices[0]}, "tune.values": {"model.options.variant": choices}}
    result = given.tune(bowl, {**keys, "tune.runs": 12})
    assert len(result.trials) == 10
    assert result.choice is not None
    assert result.choice["model.options.variant"] in choices


def test_a_choice_with_what_tables_join_by_is_refused(given: Given) -> None:
    keys = {"model.options": {"variant": "a & b"}, "tune.values": {"model.options.variant": ["a & b", "c"]}}
    with pytest.raises(ConfigError, match="a & b has & in it"):
        given.tune(bowl, keys)


def test_verdicts_of_runs_that_diverged_count_them(given: Given) -> None:
    """A per cent of a loss that they do not have would be made up."""

    def breaks(config: Config, seed: int) -> float:
        return math.nan if seed >= 300 and config.schedule.max_lr == 0.01 else bowl(config, seed)

    result = given.tune(breaks, {"tune.runs": 24})
    assert not result.is_kept
    assert "on 3 fresh seeds 3 of 3 runs with the present values diverged" in sentence(result)
    assert "% lower" not in sentence(result)

    def best_breaks(config: Config, seed: int) -> float:
        return math.nan if seed >= 300 and config.schedule.max_lr != 0.01 else bowl(config, seed)

    kept = given.tune(best_breaks, {"tune.runs": 24})
    assert kept.is_kept
    assert "on 3 fresh seeds: 3 of 3 runs with the search's best diverged." in sentence(kept)
    assert "half as wide" not in sentence(kept)


def test_where_it_is_known_to_be_worse_no_more_pairs_are_offered(given: Given) -> None:
    def worse(config: Config, seed: int) -> float:
        return bowl(config, seed) * (1.5 if seed >= 300 and config.schedule.max_lr != 0.01 else 1.0)

    result = given.tune(worse, {"tune.runs": 24})
    assert result.is_kept
    assert result.gain is not None
    assert result.gain.is_settled
    assert "half as wide" not in sentence(result)
    assert result.following is not None
    assert not any("to be surer" in note for note in result.following.notes)


def test_the_end_of_what_a_key_takes_is_no_end_to_go_beyond(given: Given) -> None:
    """A smoothing below 0 is refused."""

    def smooth(config: Config, seed: int) -> float:
        return float(np.exp(-1 + 3 * (config.train.label_smoothing or 0.0)))

    keys = {"train.label_smoothing": 0.1, "tune.values": {"train.label_smoothing": [0, 0.2], LR: [0.01]}}
    result = given.tune(smooth, {**keys, "tune.runs": 24})
    assert result.choice is not None
    assert float(str(result.choice["train.label_smoothing"])) < 0.02
    assert "beyond" not in sentence(result)


def test_few_whole_numbers_are_judged_one_by_one(given: Given) -> None:
    def deep(config: Config, seed: int) -> float:
        return 0.5 + 0.4 * (value_of(config, "model.options.depth") == 4)

    keys = {"model.options": {"depth": 2}, "tune.values": {"model.options.depth": [1, 4], LR: [0.01]}}
    result = given.tune(deep, {**keys, "tune.runs": 30})
    from hpcli.results.key_words import lines

    (line,) = (each for each in lines(result.fitted) if each["key"] == "model.options.depth")
    assert str(line["what it does"]).startswith("1 to 3: no difference found; 4 is worse by")
    profile = result.profiles[result.keys.index("model.options.depth")]
    assert len(profile.parts) == 4


def test_the_present_value_of_many_digits_is_known_again(given: Given, base: Config) -> None:
    keys = {LR: 1 / 300, "tune.runs": 8}
    recorder = MemoryRecorder(with_overrides(base, keys))
    first = given.tune(bowl, keys, recorder)
    again = given.tune(bowl, keys, recorder)
    assert [trial.trial for trial in again.trials] == [trial.trial for trial in first.trials]


def test_where_some_diverge_and_the_others_fail_no_loss_is_said(given: Given) -> None:
    result = given.tune(lambda config, seed: math.nan, {"tune.runs": 4, "tune.confirm": 0})
    (first, *others) = result.trials
    mixed = dataclasses.replace(result, trials=(dataclasses.replace(first, status=RunStatus.FAILED), *others))
    assert sentence(mixed).startswith("All 4 runs diverged or failed")


def test_nobody_is_sent_beyond_what_has_just_diverged(given: Given) -> None:
    """The loss falls to the end of the learning rates in short runs, and the training there diverges."""

    def falling(config: Config, seed: int) -> float:
        return float(np.exp(-1 - np.log10(config.schedule.max_lr)))

    result = given.tune(falling, {"tune.runs": 24})
    assert "max_lr lies at the upper end" in sentence(result)
    lost = cast(TrainResult, types.SimpleNamespace(status=RunStatus.DIVERGED))
    said = sentence(dataclasses.replace(result, trained=lost))
    assert "lower schedule.max_lr" in said
    assert "beyond" not in said
