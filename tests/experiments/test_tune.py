"""`tune` on real digits, in runs of a few steps: its steps, what it goes on from, and what it refuses to recommend."""

from __future__ import annotations

import csv
import dataclasses
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hpcli import Config, DiskRecorder, MemoryRecorder, Run, TuneResult, load_config, tune, with_overrides
from hpcli.analysis.search import lowest
from hpcli.config.varying import JOINED, value_of, written
from hpcli.errors import ConfigError
from hpcli.recording.progress import Progress
from hpcli.results.tune_budget import ranges_lr
from hpcli.results.tune_trials import TuneFresh, TunePlan, TuneTrial
from hpcli.results.tune_words import best_yaml, sentence
from hpcli.states import RunStatus

pytestmark = pytest.mark.filterwarnings("ignore::hpcli.errors.HpcliWarning")

KEYS = ("schedule.max_lr", "schedule.momentum", "optimizer.weight_decay")


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Config:
    (folder := tmp_path_factory.mktemp("images")).mkdir(exist_ok=True)
    pixels = np.random.default_rng(0).integers(0, 40, (96, 8, 8), np.uint8)
    for number, each in enumerate(pixels):  # three classes of a brightness of their own: learnt in a few steps
        path = folder / f"train/{'abc'[number % 3]}/{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(each + np.uint8(70 * (number % 3))).save(path)
    return load_config(
        overrides={
            **{"data.name": "folder", "data.root": str(folder), "data.cache_dir": str(folder / "cache")},
            **{"model.name": "shallow3", "data.validation": 0.25, "data.batch_size": 8, "data.augment": "none"},
            **{"data.steps_per_epoch": 12, "train.epochs": 2, "tune.epochs": 1, "tune.runs": 14, "tune.confirm": 2},
            "seed": 3,
        }
    )


@pytest.fixture(scope="module")
def result(config: Config) -> TuneResult:
    return tune(config)


def test_the_steps_are_taken_in_order_and_within_the_budget(result: TuneResult) -> None:
    assert result.status == RunStatus.FINISHED
    plan = result.plan
    assert plan is not None
    assert plan.steps == 12
    assert (plan.search, plan.pairs) == (10, 2)
    assert [trial.seed for trial in result.trials] == [3] * 10
    assert result.trials[0].value == "0.01 & 0.95-0.85 & 0.01"  # the present setting
    assert len({trial.value for trial in result.trials}) == 10
    assert result.keys == KEYS
    for trial in result.trials[1:]:
        assert all(-0.01 <= place <= 1.01 for place in result.searched.point(result.searched.values(trial.value)))


def test_winner_and_present_setting_meet_on_fresh_seeds(result: TuneResult) -> None:
    first = 3 + 300 + 50 * 14
    assert result.winner_name != result.present_name
    both = [result.present_name, result.winner_name]
    assert [(trial.value, trial.seed) for trial in result.fresh] == [(v, s) for s in (first, first + 1) for v in both]
    assert result.gain is not None
    assert result.gain.pairs == 2
    losses = np.log([[t.loss for t in result.fresh if t.value == name] for name in both])
    assert result.gain.estimate == pytest.approx(float((losses[0] - losses[1]).mean()), rel=1e-9)


def test_the_verdict_compares_the_lowest_setting_of_all_run_or_not(result: TuneResult) -> None:
    searched = result.searched
    assert searched.surface is not None
    assert result.winner_name is not None
    best = lowest(searched.surface, result.config.seed)[0]
    values = [each.value(float(part)) for each, part in zip(result.space, best, strict=True)]
    assert result.winner_name == JOINED.join(map(written, values))
    assert result.winner_name not in {trial.value for trial in result.trials}


def test_what_a_verdict_has_compared_stays_the_winner(result: TuneResult) -> None:
    """Whatever another machine's arithmetic makes of the same runs; without it the winner is one that was run."""
    other = "0.0123 & 0.9-0.7 & 0.002"
    fresh = tuple(
        trial if trial.value == result.present_name else dataclasses.replace(trial, value=other)
        for trial in result.fresh
    )
    found = dataclasses.replace(result, fresh=fresh)
    assert found.winner_name == other
    assert found.gain is not None
    assert result.gain is not None
    assert found.gain.estimate == result.gain.estimate
    assert found.is_kept or found.choice == found.searched.values(other)
    unjudged = dataclasses.replace(result, fresh=())
    assert unjudged.winner_name in {trial.value for trial in result.trials}


def test_what_is_chosen_trains_and_its_config_says_why(result: TuneResult, config: Config, tmp_path: Path) -> None:
    assert result.choice is not None
    assert result.trained is not None
    assert [value_of(result.trained.config, key) for key in KEYS] == list(result.choice.values())
    assert len(result.trained.epochs["valid_loss"]) == 2
    text = best_yaml(result)
    assert text is not None
    (tmp_path / "best.yaml").write_text(text)
    read = load_config(tmp_path / "best.yaml")
    assert read == result.best_config
    lines = text.splitlines()
    for key in KEYS:
        place = next(i for i, line in enumerate(lines) if line.startswith(f"  {key.partition('.')[2]}:"))
        assert lines[place - 1].startswith("  # "), key


def test_a_training_that_diverged_is_no_result(result: TuneResult) -> None:
    """The short runs did not: the loss of its first epochs is none of the whole, and there is nothing to evaluate."""
    assert result.trained is not None
    assert not result.is_lost
    lost = dataclasses.replace(result, trained=dataclasses.replace(result.trained, status=RunStatus.DIVERGED))
    assert lost.is_lost
    assert "trained_loss" in result.summary()
    assert "trained_loss" not in lost.summary()
    assert "The training at its own length diverged (train/): lower schedule.max_lr." in sentence(lost)
    assert lost.following is not None
    assert lost.following.words[0] == "lr-find"


class Stopping(MemoryRecorder):
    """Asks to stop once so many runs of the search have ended."""

    def __init__(self, config: Config, after: int) -> None:
        super().__init__(config)
        self.after = after

    def should_stop(self) -> bool:
        ended = [trial for trial in self.rows(TuneTrial) if trial.has_ended]
        return len(ended) + sum(trial.has_ended for trial in self.rows(TuneFresh)) >= self.after


@pytest.mark.parametrize("after", [1, 5, 9, 12])
def test_a_tuning_that_is_stopped_goes_on_and_ends_the_same(config: Config, result: TuneResult, after: int) -> None:
    recorder = Stopping(config, after)
    stopped = tune(config, recorder=recorder)
    assert stopped.status == RunStatus.INTERRUPTED
    recorder.after = 10**9
    whole = tune(config, recorder=recorder)
    assert [t.value for t in whole.trials] == [t.value for t in result.trials]
    assert [t.loss for t in (*whole.trials, *whole.fresh)] == [t.loss for t in (*result.trials, *result.fresh)]
    assert best_yaml(whole) == best_yaml(result)
    assert sentence(whole) == sentence(result)


def test_more_runs_begin_with_the_same_ones_and_are_judged_on_new_seeds(config: Config, tmp_path: Path) -> None:
    with DiskRecorder.create("tune", config, tmp_path / "run") as recorder:
        short = tune(config, recorder=recorder)
        recorder.finish(short.status, short.summary())
    more = with_overrides(config, {"tune.runs": 20})
    with DiskRecorder.reopen("tune", tmp_path / "run", more, again=True) as recorder:
        long = tune(more, recorder=recorder)
        recorder.finish(long.status, long.summary())
    assert [t.value for t in long.trials[: len(short.trials)]] == [t.value for t in short.trials]
    assert len(long.trials) == 16
    before, after = ([(t.value, t.seed, t.loss) for t in each.fresh] for each in (short, long))
    assert before
    assert set(before) < set(after)
    assert sorted({seed for _, seed, _ in after} - {seed for _, seed, _ in before}) == [1303, 1304]
    read = Run.open(tmp_path / "run").result
    assert isinstance(read, TuneResult)
    assert read.choice == long.choice
    assert sentence(read) == sentence(long)
    assert [row.runs for row in Run.open(tmp_path / "run").rows(TunePlan)] == [14, 20]


def ends(config: Config, *keys: str, **more: object) -> TuneResult:
    return tune(with_overrides(config, {key.replace("__", "."): value for key, value in more.items()}))


def test_where_nothing_learns_nothing_is_recommended(config: Config) -> None:
    found = ends(config, tune__values={"schedule.max_lr": [1e-9, 1e-7]}, schedule__max_lr=1e-8, tune__runs=6)
    assert found.status == RunStatus.FINISHED
    assert (found.choice, found.gain, found.trained, best_yaml(found)) == (None, None, None, None)
    assert sentence(found).startswith(f"Nothing was learnt at any of {len(found.trials)} settings: the lowest loss is ")
    assert found.summary()["choice"] is None
    assert [line["what it does"] for line in found.summary()["keys"]] == [None] * 3  # type: ignore[attr-defined]


def test_where_everything_diverges_nothing_is_recommended(config: Config) -> None:
    found = ends(
        config,
        optimizer__name="sgd",
        tune__values={"schedule.max_lr": [1e6, 1e8]},
        schedule__max_lr=1e7,
        tune__runs=6,
        tune__confirm=0,
    )
    assert found.status == RunStatus.DIVERGED
    assert found.choice is None
    assert sentence(found) == (
        "All 6 settings diverged: no value is recommended. Lower the range of max_lr (tune.values)."
    )


@pytest.mark.parametrize("confirm", [0, 2])
def test_a_diverging_part_of_the_range_never_wins(config: Config, confirm: int) -> None:
    found = ends(
        config,
        optimizer__name="sgd",
        tune__values={"schedule.max_lr": [1e-2, 1e8]},
        schedule__max_lr=0.1,
        tune__confirm=confirm,
    )
    assert any(trial.status == RunStatus.DIVERGED for trial in found.trials)
    assert found.choice is not None
    name = found.present_name if found.is_kept else found.winner_name
    for trial in (*found.trials, *found.fresh):
        if trial.value == name:
            assert trial.status == RunStatus.FINISHED
            assert trial.loss < found.data.chance_loss()


def test_other_keys_choices_and_values_that_stay(config: Config) -> None:
    values = {"schedule.momentum": [0.9], "data.augment": ["standard", "none"], "train.label_smoothing": [0.0, 0.3]}
    found = ends(config, tune__values=values, tune__until="search", tune__confirm=0, tune__runs=8)
    assert found.keys == ("schedule.max_lr", "optimizer.weight_decay", "data.augment", "train.label_smoothing")
    assert found.trained is None
    assert found.choice is not None
    assert found.best_config is not None
    assert str(found.best_config.schedule.momentum) == "0.9"
    assert {found.searched.values(trial.value)["data.augment"] for trial in found.trials} == {"standard", "none"}
    assert [line["key"] for line in found.summary()["keys"]][2:] == ["data.augment", "train.label_smoothing"]  # type: ignore[attr-defined]


def test_a_space_that_is_used_up_ends_the_search(config: Config) -> None:
    values = {
        "schedule.max_lr": [0.01], "schedule.momentum": [0.9], "optimizer.weight_decay": [0.01],
        "data.augment": ["standard", "none"],
    }  # fmt: skip
    said: list[str] = []

    def listen(report: Progress) -> None:
        said.extend([report.line] if report.line else [])

    found = tune(with_overrides(config, {"tune.values": values, "tune.until": "search"}), on_progress=listen)
    assert [trial.value for trial in found.trials] == ["none", "standard"]  # the present one first
    assert "no other setting is left to run" in said


def test_the_smallest_budget_and_a_present_setting_outside_the_ranges(config: Config) -> None:
    found = ends(config, tune__runs=4, schedule__max_lr=5.0, optimizer__weight_decay=0.0, tune__until="verdict")
    assert found.status == RunStatus.FINISHED
    assert found.searched.points[0][0] > 1
    assert found.searched.points[0][2] < 0
    assert len(found.trials) + len(found.fresh) <= 4


def test_the_range_test_bounds_the_learning_rate(config: Config, tmp_path: Path) -> None:
    longer = with_overrides(
        config, {"tune.epochs": 6, "tune.until": "range_test", "tune.runs": 24, "tune.range_test": True}
    )
    with DiskRecorder.create("tune", longer, tmp_path / "run") as recorder:
        found = tune(longer, recorder=recorder)
        recorder.finish(found.status, found.summary())
    test = Run.open(tmp_path / "run/lr-find")
    assert test.status == RunStatus.FINISHED
    (bounds,) = found.ranges
    dimension = found.space[0]
    assert (dimension.low, dimension.high) == (bounds.low, bounds.high)
    assert bounds.high >= 10 * bounds.low * 0.98
    assert found.range_test is not None
    suggestion = found.range_test.suggestion
    assert suggestion is not None
    assert suggestion.suggested_lr is not None
    assert bounds.low < suggestion.suggested_lr <= bounds.high
    with (tmp_path / "run/tune_ranges.csv").open() as file:
        assert [row["parameter"] for row in csv.DictReader(file)] == ["schedule.max_lr"]
    assert sentence(found) == f"{bounds.why}."


def test_as_many_runs_as_fit_into_a_time(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    found = ends(config, tune__minutes=1e-9, tune__until="search")
    assert found.plan is not None
    assert found.plan.runs == 4


def test_a_range_test_is_made_where_the_usual_range_is_not_known_to_hold(config: Config) -> None:
    def asks(**keys: object) -> bool:
        return ranges_lr(with_overrides(config, {key.replace("__", "."): value for key, value in keys.items()}))

    assert not asks()
    assert asks(tune__range_test=True)
    assert asks(model__name="mine:net")
    assert asks(model__name="torchvision/resnet18", model__pretrained=True)
    assert not asks(model__name="mine:net", tune__range_test=False)
    assert not asks(tune__range_test=True, tune__values={"schedule.max_lr": [1e-3, 1e-1]})


def test_more_runs_keep_the_range_test(config: Config, tmp_path: Path) -> None:
    first = with_overrides(config, {"tune.epochs": 6, "tune.runs": 8, "tune.until": "search", "tune.range_test": True})
    with DiskRecorder.create("tune", first, tmp_path / "run") as recorder:
        short = tune(first, recorder=recorder)
        recorder.finish(short.status, short.summary())
    more = with_overrides(first, {"tune.runs": 12, "tune.until": "train"})
    with DiskRecorder.reopen("tune", tmp_path / "run", more, again=True) as recorder:
        long = tune(more, recorder=recorder)
        recorder.finish(long.status, long.summary())
    assert long.ranges == short.ranges
    assert [t.value for t in long.trials[: len(short.trials)]] == [t.value for t in short.trials]
    read = Run.open(tmp_path / "run").result
    assert isinstance(read, TuneResult)
    assert read.trained is not None
    assert read.summary() == long.summary()


def test_a_verdict_leaves_the_config_with_what_was_found(config: Config) -> None:
    recorder = MemoryRecorder(config)
    found = tune(with_overrides(config, {"tune.until": "verdict"}), recorder=recorder)
    assert found.trained is None
    assert recorder.texts == {"best.yaml": best_yaml(found)}


def test_a_batch_that_is_too_large_is_refused_before_anything_trains(config: Config) -> None:
    recorder = MemoryRecorder(config)
    for listed in ([16, 5000], [8, 16, 5000]):
        with pytest.raises(ConfigError, match="5000 is more than the 72 training images"):
            tune(with_overrides(config, {"tune.values": {"data.batch_size": listed}}), recorder=recorder)
    assert recorder.children == {}


def test_settings_whose_values_do_not_go_together_are_not_proposed(config: Config) -> None:
    values = {"schedule.max_lr": [0.002, 0.1], "schedule.base_lr": [1e-4, 0.05]}
    own = {"schedule.base_lr": 1e-3, "tune.values": values, "tune.until": "search", "tune.confirm": 0}
    found = tune(with_overrides(config, own))
    pairs = [found.searched.values(trial.value) for trial in found.trials]
    assert len(pairs) == 14
    fixed = tune(with_overrides(config, {"schedule.base_lr": 0.005, "tune.until": "search"}))
    assert len(fixed.trials) == 10
    assert min(fixed.searched.points[:, 0]) >= fixed.space[0].place(0.005)
    assert all(float(each["schedule.base_lr"]) <= float(each["schedule.max_lr"]) for each in pairs)  # type: ignore[arg-type]


def test_another_time_is_another_number_of_runs(config: Config) -> None:
    recorder, own = MemoryRecorder(config), {"tune.until": "search", "tune.confirm": 0}
    short = tune(with_overrides(config, {**own, "tune.minutes": 1e-9}), recorder=recorder)
    again = tune(with_overrides(config, {**own, "tune.minutes": 1e-9}), recorder=recorder)
    assert len(short.trials) == len(again.trials) == 4
    seconds = short.trials[0].seconds
    assert seconds is not None
    more = tune(with_overrides(config, {**own, "tune.minutes": 7.5 * seconds / 60}), recorder=recorder)
    assert more.plan is not None
    assert more.plan.runs == 7
    assert [trial.value for trial in more.trials[:4]] == [trial.value for trial in short.trials]


def test_more_pairs_of_the_same_runs_keep_the_earlier_ones(config: Config) -> None:
    recorder = MemoryRecorder(config)
    before = tune(config, recorder=recorder)
    after = tune(with_overrides(config, {"tune.confirm": 4}), recorder=recorder)
    assert (len(before.pairs), len(after.pairs)) == (2, 4)
    np.testing.assert_array_equal(after.pairs[:2], before.pairs)
    assert [trial.value for trial in after.trials] == [trial.value for trial in before.trials]
    assert after.gain is not None
    assert after.gain.estimate == pytest.approx((after.pairs[:, 0] - after.pairs[:, 1]).mean())


def test_more_pairs_are_had_by_going_on(config: Config, result: TuneResult, tmp_path: Path) -> None:
    """What the sentence proposes is what can be done."""
    with DiskRecorder.create("tune", config, tmp_path / "run") as recorder:
        recorder.finish(tune(config, recorder=recorder).status, {})
    more = with_overrides(config, {"tune.runs": 26, "tune.confirm": 8})
    with DiskRecorder.reopen("tune", tmp_path / "run", more, again=True) as recorder:
        found = tune(more, recorder=recorder)
    assert found.gain is not None
    assert found.gain.pairs == 8
    assert [trial.value for trial in found.trials] == [trial.value for trial in result.trials]
    np.testing.assert_array_equal(found.pairs[:2], result.pairs)  # they have been paid for, and the search is the same
    assert not found.gain.is_sure
    assert found.following is not None
    said = found.following.said("here", "hpcli tune --resume here")
    assert "to be surer: hpcli tune --resume here --runs 74 --confirm 32" in said
