from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hpcli import interpolate, lr_find, sweep
from hpcli.analysis.sanity import Check
from hpcli.config import Config, with_overrides
from hpcli.errors import UsageError
from hpcli.experiments.train import train
from hpcli.results.check import CheckResult
from hpcli.results.plane import PlaneResult
from hpcli.results.predict import PredictResult
from hpcli.states import BatchNorm, CheckStatus, RunStatus
from hpcli.training.trainer import Trainer

pd = pytest.importorskip("pandas")


def test_a_training_has_a_row_an_epoch_with_its_numbers_as_they_are(config: Config) -> None:
    result = train(with_overrides(config, {"train.epochs": 2}))
    frame = result.frame()
    assert list(frame.columns) == list(result.epochs)
    assert frame["epoch"].tolist() == [0, 1]
    assert [str(frame[name].dtype) for name in ("epoch", "step", "valid_loss")] == ["int64", "int64", "float64"]
    assert frame["valid_loss"].iloc[-1] == result.valid_loss
    nothing = replace(result, epochs={name: values[:0] for name, values in result.epochs.items()}).frame()
    assert (len(nothing), list(nothing.columns)) == (0, list(frame.columns))


@pytest.mark.usefixtures("_anything_is_learnt")
def test_a_sweep_has_a_row_a_trial(config: Config) -> None:
    short = with_overrides(config, {"sweep.epochs": 1, "sweep.seeds": 2, "data.train_fraction": 0.1})
    result = sweep(short, {"schedule.max_lr": [1e-3, 3e-3]})
    frame = result.frame()
    assert frame.pivot(index="value", columns="seed", values="valid_loss").loc[
        ["1e-3", "3e-3"]
    ].to_numpy().tolist() == (result.losses.tolist())
    assert set(frame["status"]) == {"finished"}
    assert type(frame["status"].iloc[0]) is str


def test_range_tests_lie_below_each_other(config: Config) -> None:
    result = lr_find(with_overrides(config, {"lr_find.steps": 20}), {"weight_decay": [1e-4, 1e-2]})
    frame = result.frame()
    assert list(frame.columns) == ["seed", "value", "lr", "train_loss", "smoothed_loss"]
    for curve in result.curves:
        own = frame[(frame["value"] == curve.value) & (frame["seed"] == curve.seed)]
        np.testing.assert_array_equal(own["train_loss"], curve.train_loss)
    assert len(frame) == sum(len(curve.lr) for curve in result.curves)


def test_both_statistics_of_batchnorm_lie_below_each_other(config: Config) -> None:
    config = with_overrides(config, {"model.name": "resnet20", "interpolate.alphas": "0:1:3", "interpolate.bn": "both"})
    weights = [Trainer.from_config(with_overrides(config, {"seed": seed})).model.state_dict() for seed in (0, 1)]
    frame = interpolate(*weights, config=config).frame()
    assert frame["bn"].tolist() == [mode for mode in dict.fromkeys(frame["bn"]) for _ in range(3)]
    assert len(set(frame["bn"])) == 2
    assert frame["alpha"].tolist() == [0.0, 0.5, 1.0] * 2


def test_a_plane_has_a_row_a_point() -> None:
    losses = np.array([[1.0, 2.0, np.nan], [4.0, 5.0, 6.0]])
    result = PlaneResult(RunStatus.FINISHED, np.array([0.0, 1, 2]), np.array([0.0, 1]), losses, (), BatchNorm.RECOMPUTE)
    frame = result.frame()
    assert frame.pivot(index="y", columns="x", values="valid_loss").fillna(-1).to_numpy().tolist() == [
        [1, 2, -1],
        [4, 5, 6],
    ]


def test_checks_and_predictions() -> None:
    check = Check("labels", CheckStatus.LOOK, "Two are the same.", "Look.", 2.0)
    frame = CheckResult((check,), 1.0, 2.0, 3, 4.0).frame()
    assert frame[["name", "status", "value"]].to_numpy().tolist() == [["labels", "look", 2.0]]
    guessed = PredictResult(
        ("cat", "dog"), (Path("a.png"), Path("b.png")), np.array([[0.25, 0.75], [1, 0]], np.float32), {}
    )
    assert guessed.frame().to_dict("list") == {
        "file": ["a.png", "b.png"],
        "class": ["dog", "cat"],
        "probability": [0.75, 1],
    }
    assert len(PredictResult(("cat",), (), np.zeros((0, 1), np.float32), {}).frame()) == 0


def test_without_pandas_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(UsageError, match="pip install pandas"):
        CheckResult((), 1.0, 2.0, 3, 4.0).frame()
