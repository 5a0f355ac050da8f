"""Settings that are the same run are known before anything trains, and what is said of them is so."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hpcli import lr_find, sweep
from hpcli.cli import main
from hpcli.config import Config, with_overrides
from hpcli.config.varying import settings, with_values, written
from hpcli.data.dataset import load_splits
from hpcli.experiments.plan import plan_lr_find, plan_sweep
from hpcli.recording.progress import Progress
from hpcli.results.data import DataFacts
from hpcli.results.same_runs import same_range_tests, same_trainings

Keys = Mapping[str, object]
Values = list[Any]
SGD: Keys = {"optimizer.name": "sgd"}
NO_DECAY: Keys = {"optimizer.weight_decay": 0.0}
CONSTANT: Keys = {"schedule.name": "constant", "schedule.momentum": 0.9}

IDLE: list[tuple[Keys, str, Values, str]] = [
    (SGD, "optimizer.beta2", [0.5, 0.99], "does nothing where optimizer.name is sgd"),
    (SGD, "optimizer.eps", [1e-8, 1.0], "does nothing where optimizer.name is sgd"),
    (NO_DECAY, "optimizer.decay", ["coupled", "decoupled"], "does nothing where optimizer.weight_decay is 0"),
    (NO_DECAY, "optimizer.decay_norm_and_bias", [True, False], "does nothing where optimizer.weight_decay is 0"),
    (
        {**NO_DECAY, **SGD},
        "optimizer.decay",
        ["coupled", "decoupled"],
        "does nothing where optimizer.weight_decay is 0",
    ),
    ({}, "schedule.gamma", [0.1, 0.5], "does nothing where schedule.name is one_cycle"),
    ({}, "schedule.milestones", [[1], [0.5]], "does nothing where schedule.name is one_cycle"),
    (CONSTANT, "schedule.pct_start", [0.2, 0.6], "does nothing where schedule.name is constant"),
    (CONSTANT, "schedule.dialect", ["smith", "torch"], "does nothing where schedule.name is constant"),
    (CONSTANT, "schedule.final_div_factor", [10, 1e4], "does nothing where schedule.name is constant"),
    (CONSTANT, "schedule.base_lr", [1e-4, None], "does nothing where schedule.name is constant"),
    (CONSTANT, "schedule.cycles", [1, 2], "does nothing where schedule.name is constant"),
    ({}, "data.root", ["a", "b"], "does nothing where data.name is digits"),
    ({}, "data.image_size", [8, 16], "does nothing where data.name is digits"),
    ({}, "data.cache_dir", ["a", "b"], "changes no result"),
    ({}, "model.bn_momentum", [0.1, 0.5], "does nothing where model.name is shallow3"),
]
ALIKE: list[tuple[Keys, str, Values, Values, str]] = [
    ({}, "schedule.pct_start", [0.3, 0.30001, None], [0.6], "the same schedule under one_cycle"),
    ({}, "schedule.name", ["triangular", "triangular2"], ["exp_range"], "the same schedule"),
    ({}, "data.steps_per_epoch", [None, 3], [2], "the same schedule under one_cycle"),
    ({}, "train.checkpoint_epochs", [[], [0]], [], "the same schedule under one_cycle"),
    ({}, "data.train_fraction", [0.31, 0.31001], [0.2], "the same images"),
    ({}, "train.deterministic", [True, False], [], "the same run on a CPU"),
    ({}, "train.precision", ["auto", "fp32", "tf32"], [], "the same run on a CPU"),
]
DIFFERENT: list[tuple[Keys, str, Values]] = [
    ({}, "optimizer.beta2", [0.5, 0.99]),
    ({}, "optimizer.eps", [1e-8, 1.0]),
    ({}, "optimizer.decay", ["coupled", "decoupled"]),
    ({**SGD, "schedule.momentum": 0.9}, "optimizer.nesterov", [True, False]),
    ({"schedule.name": "piecewise", "schedule.momentum": 0.9}, "schedule.gamma", [0.1, 0.5]),
    ({}, "schedule.pct_start", [0.2, 0.6]),
    ({}, "schedule.max_lr", [1e-3, 1e-2]),
    ({}, "data.batch_size", [16, 32]),
    ({}, "train.epochs", [1, 2]),
    ({}, "train.label_smoothing", [0.0, 0.1]),
]


@pytest.fixture
def short(config: Config) -> Config:
    return with_overrides(
        config, {"sweep.epochs": 1, "sweep.seeds": 1, "data.batch_size": 38, "data.train_fraction": 0.1}
    )


def planned(config: Config, vary: Mapping[str, Values]) -> object:
    return plan_sweep(with_values(config, "sweep", vary)).get("same_runs")


def losses(config: Config, key: str, values: Values) -> set[float]:
    return set(sweep(config, {key: values}).losses.ravel().tolist())


@pytest.mark.usefixtures("_anything_is_learnt")
@pytest.mark.parametrize(("keys", "key", "values", "why"), IDLE)
def test_a_key_that_does_nothing_is_said_and_does_nothing(
    short: Config, keys: Keys, key: str, values: Values, why: str
) -> None:
    short = with_overrides(short, keys)
    assert planned(short, {key: values}) == [f"{key}: {why}; all its values are the same run"]
    assert planned(short, {key: values[:1]}) is None
    assert len(losses(short, key, values)) == 1


@pytest.mark.usefixtures("_anything_is_learnt")
@pytest.mark.parametrize(("keys", "key", "same", "others", "why"), ALIKE)
def test_values_that_are_the_same_run_are_said_and_are(
    short: Config, keys: Keys, key: str, same: Values, others: Values, why: str
) -> None:
    short = with_overrides(short, keys)
    *first, last = map(written, same)
    assert planned(short, {key: [*same, *others]}) == [f"{key} {', '.join(first)} and {last}: {why}"]
    assert len(losses(short, key, same)) == 1


@pytest.mark.usefixtures("_anything_is_learnt")
@pytest.mark.parametrize(("keys", "key", "values"), DIFFERENT)
def test_values_that_differ_are_not_said_and_do(short: Config, keys: Keys, key: str, values: Values) -> None:
    short = with_overrides(short, keys)
    assert planned(short, {key: values}) is None
    assert len(losses(short, key, values)) == len(values)


def test_of_two_keys_pairs_are_said_or_the_key_that_never_does_anything(short: Config) -> None:
    beta2: dict[str, Values] = {"optimizer.beta2": [0.9, 0.99]}
    assert planned(short, {"optimizer.name": ["adamw", "sgd"], **beta2}) == [
        "sgd & 0.9 and sgd & 0.99: the same run, optimizer.beta2 does nothing where optimizer.name is sgd"
    ]
    assert planned(with_overrides(short, SGD), {"optimizer.weight_decay": [0.1, 0.0], **beta2}) == [
        "optimizer.beta2: does nothing where optimizer.name is sgd; all its values are the same run"
    ]
    assert planned(short, {"optimizer.decay": ["coupled", "decoupled"], "optimizer.weight_decay": [0.1, 0.0]}) == [
        "coupled & 0 and decoupled & 0: the same run, optimizer.decay does nothing where optimizer.weight_decay is 0"
    ]


def test_many_groups_are_cut_short(short: Config) -> None:
    vary: dict[str, Values] = {
        "optimizer.weight_decay": [0.1 * each for each in range(9)],
        "train.deterministic": [True, False],
    }
    lines = planned(short, vary)
    assert isinstance(lines, list)
    assert len(lines) == 7
    assert lines[-1] == "… and 3 groups more"


def test_a_share_of_the_images_has_its_own_steps(short: Config) -> None:
    per_epoch = round(0.1 * 1151 / 38)
    vary: dict[str, Values] = {"data.train_fraction": [0.1, 0.4], "data.steps_per_epoch": [per_epoch, None]}
    assert planned(short, vary) == [f"0.1 & {per_epoch} and 0.1 & null: the same schedule under one_cycle"]


def test_on_a_gpu_numerics_count(short: Config) -> None:
    cases: dict[str, Values] = {"train.deterministic": [True, False], "train.precision": ["fp32", "tf32"]}
    for key, values in cases.items():
        own = with_values(short, "sweep", {key: values})
        splits = load_splits(own)
        assert same_trainings([key], settings(own), splits.source, DataFacts.of(splits), on_gpu=True) == []
        over = with_values(short, "lr_find", {key: values})
        assert same_range_tests(over, on_gpu=True) == []
        assert len(same_range_tests(over)) == 1


def test_a_data_set_of_ones_own_is_asked_what_it_takes(
    short: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = "from hpcli.data.digits import digits\ndef plain():\n    return digits()\ndef sized(image_size):\n    return digits()\n"
    (tmp_path / "own_same_runs.py").write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    said = []
    for name in ("plain", "sized"):
        data = f"--set=data.name=own_same_runs:{name}"
        assert main(["sweep", "data.image_size", "--values=8,16", data, "--allow-code", "--dry-run"]) == 0
        said.append("data.image_size: does nothing where data.name is own_same_runs:plain" in capsys.readouterr().out)
    assert said == [True, False]


def test_a_sweep_says_it_before_training(short: Config) -> None:
    reports = list[Progress]()
    sweep(with_overrides(short, SGD), {"optimizer.beta2": [0.9, 0.99]}, on_progress=reports.append)
    first = reports[0]
    assert first.line == "optimizer.beta2: does nothing where optimizer.name is sgd; all its values are the same run"
    assert first.done == 0


def test_range_tests_that_are_the_same_are_said(short: Config) -> None:
    short = with_overrides(short, {"lr_find.seeds": 1})
    assert same_range_tests(short) == []
    cases: list[tuple[Keys, str, Values, str]] = [
        ({}, "schedule.momentum", ["0.95-0.85", 0.85, 0.9],
         "schedule.momentum 0.95-0.85 and 0.85: the same schedule in a range test"),
        (SGD, "optimizer.beta2", [0.9, 0.99],
         "optimizer.beta2: does nothing where optimizer.name is sgd; all its values are the same run"),
    ]  # fmt: skip
    for keys, key, values, line in cases:
        own, reports = with_values(with_overrides(short, keys), "lr_find", {key: values}), list[Progress]()
        assert plan_lr_find(own)["same_runs"] == [line]
        result = lr_find(own, on_progress=reports.append)
        assert [each.line for each in reports if each.line] == [line]
        assert np.array_equal(result.curves[0].train_loss, result.curves[1].train_loss)
    assert "same_runs" not in plan_lr_find(with_values(short, "lr_find", {"schedule.momentum": [0.8, 0.9]}))
