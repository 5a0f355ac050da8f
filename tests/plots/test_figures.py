from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from hpcli import plots
from hpcli.config import Config, with_overrides
from hpcli.experiments.interpolate import InterpolationResult, interpolate
from hpcli.experiments.lr_find import early_overfitting, lr_find
from hpcli.experiments.plane import PlaneResult
from hpcli.experiments.sweep import sweep
from hpcli.experiments.train import TrainResult, train
from hpcli.training.schedules import training_schedule
from hpcli.training.trainer import Trainer


@pytest.fixture
def result(config: Config) -> TrainResult:
    return train(config)


def labels_of(figure: Figure) -> list[tuple[str, str]]:
    return [(axes.get_xlabel(), axes.get_ylabel()) for axes in figure.axes]


def texts(figure: Figure) -> str:
    return " ".join(text.get_text() for axes in figure.axes for text in axes.texts)


def test_the_schedule_is_the_table(config: Config, tmp_path: Path) -> None:
    table = training_schedule(with_overrides(config, {"schedule.cycles": 2}), 7)
    figure = plots.schedule(table, 7)
    top, bottom = figure.axes
    assert np.array_equal(top.lines[0].get_ydata(), table.lr)
    assert np.array_equal(bottom.lines[0].get_ydata(), table.momentum)
    assert labels_of(figure) == [("", "learning rate"), ("step", "momentum")]
    assert "0.01 at step 3" in texts(figure)
    figure.savefig(tmp_path / "schedule.png")


def test_loss_shows_every_number(result: TrainResult, tmp_path: Path) -> None:
    figure = plots.loss(result)
    (axes,) = figure.axes
    drawn = {line.get_label(): np.asarray(line.get_ydata()) for line in axes.lines}
    assert np.array_equal(drawn["training, each batch"], result.steps["train_loss"])
    assert np.array_equal(drawn["validation"], result.epochs["valid_loss"])
    assert np.array_equal(drawn["training, evaluated"], result.epochs["train_eval_loss"])
    assert labels_of(figure) == [("step", "cross-entropy (nats)")]
    figure.savefig(tmp_path / "loss.png")


def test_accuracy_is_in_per_cent(result: TrainResult, tmp_path: Path) -> None:
    figure = plots.accuracy(result)
    assert f"{result.epochs['valid_accuracy'][-1]:.1%}" in texts(figure)
    assert figure.axes[0].yaxis.get_major_formatter()(0.5) == "50%"
    figure.savefig(tmp_path / "accuracy.png")


@pytest.mark.parametrize("end_lr", [1e-2, 1e3])
def test_lr_find_is_logarithmic_and_marks_the_break(config: Config, tmp_path: Path, end_lr: float) -> None:
    result = lr_find(with_overrides(config, {"lr_find.end_lr": end_lr, "lr_find.steps": 80, "lr_find.seeds": 2}))
    figure = plots.lr_find(result)
    (axes,) = figure.axes
    assert axes.get_xscale() == "log"
    assert labels_of(figure) == [("learning rate", "training loss (nats)")]
    assert ("breaks at" in texts(figure)) == (result.suggestion.blow_up_lr is not None) == (end_lr > 1)
    suggested = result.suggestion.suggested_lr
    assert (f"{suggested:.2g}" in texts(figure)) if suggested else ("no suggestion" in texts(figure))
    figure.savefig(tmp_path / "lr_find.png")


def test_early_overfitting_is_marked_and_said(config: Config, tmp_path: Path) -> None:
    """Smith's early sign (1803.09820, figure 1): the validation loss dips and rises while the training loss falls on."""
    result = lr_find(with_overrides(config, {"lr_find.steps": 80, "lr_find.end_lr": 1e-2, "lr_find.seeds": 2}))
    dip = [(1e-3, 1.0, 1.0), (2e-3, 0.8, 0.73), (3e-3, 0.7, 0.78), (4e-3, 0.6, 0.85)]
    result.curves[0].valid = dip
    assert early_overfitting(result.curves) is None  # one of two seeds is no majority
    assert "overfits" not in texts(plots.lr_find(result))
    result.curves[1].valid = dip
    figure = plots.lr_find(result)
    assert "overfits from here" in texts(figure)
    assert labels_of(figure) == [("learning rate", "loss (nats)")]
    assert any(list(line.get_xdata()) == [2e-3, 2e-3] for line in figure.axes[0].lines)
    figure.savefig(tmp_path / "lr_find.png")


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("count", [1, 5, 40])
def test_a_batch_is_a_grid_with_labels(tmp_path: Path, channels: int, count: int) -> None:
    images = np.zeros((count, 8, 8, channels), np.uint8)
    figure = plots.batch(images, np.arange(count) % 2, ("cat", "dog"))
    titles = [axes.get_title() for axes in figure.axes if axes.images]
    assert len(titles) == min(count, 36)
    assert titles[0] == "cat"
    figure.savefig(tmp_path / "batch.png")


def test_what_cannot_be_drawn_well_is_still_drawn(config: Config, tmp_path: Path) -> None:
    """A run stopped in its first epoch, and losses that are not numbers."""
    short = train(with_overrides(config, {"train.epochs": 1}))
    empty = TrainResult(
        "interrupted", short.schedule, 7, {name: values[:2] for name, values in short.steps.items()}, {}, {}
    )
    broken = {**short.steps, "train_loss": np.full(7, np.nan)}
    for result in (empty, TrainResult("diverged", short.schedule, 7, broken, {}, {})):
        plots.loss(result).savefig(tmp_path / "loss.png")
        plots.accuracy(result).savefig(tmp_path / "accuracy.png")
    assert (tmp_path / "loss.png").stat().st_size > 1000


def test_before_training(config: Config) -> None:
    assert sorted(plots.before_training(Trainer(config))) == ["batch", "schedule"]


def test_a_sweep_shows_what_can_be_told_apart(config: Config, tmp_path: Path) -> None:
    short = with_overrides(config, {"sweep.epochs": 2, "sweep.seeds": 3, "data.train_fraction": 0.1})
    result = sweep(short, {"schedule.max_lr": ["1e-3", "3e-3", "1e9"]})
    figures = plots.sweep(result)
    assert sorted(figures) == ["sweep", "sweep_curves"]
    (axes,) = figures["sweep"].axes
    assert (axes.get_xlabel(), axes.get_ylabel()) == (
        "schedule.max_lr",
        "validation loss above the best value's (nats)",
    )
    ticks = {tick.get_text() for tick in axes.get_xticklabels()}
    assert {tick.partition("\n")[0] for tick in ticks} == {"1e-3", "3e-3", "1e9"}
    assert sum("use this" in tick for tick in ticks) == 1
    words = texts(figures["sweep"])
    assert "best" in words
    assert "diverged" in words
    assert "too small to matter" in words
    dots = [line for line in axes.lines if len(line.get_ydata()) == 3]
    paired = result.losses[:2] - result.losses[[each.verdict for each in result.verdict.comparisons].index("best")]  # type: ignore[union-attr]
    assert sorted(dot.get_ydata().tolist() for dot in dots) == sorted(paired.tolist())
    assert labels_of(figures["sweep_curves"]) == [("epoch (from 0)", "validation loss (nats)")]
    for name, figure in figures.items():
        figure.savefig(tmp_path / f"{name}.png")


def test_two_keys_are_a_map_and_nothing_is_drawn_of_nothing(config: Config, tmp_path: Path) -> None:
    short = with_overrides(config, {"sweep.epochs": 1, "sweep.seeds": 2, "data.train_fraction": 0.1})
    result = sweep(short, {"schedule.max_lr": ["1e-3", "1e9"], "weight_decay": ["0", "1"]})
    figure = plots.sweep(result)["sweep_map"]
    assert labels_of(figure)[0] == ("optimizer.weight_decay", "schedule.max_lr")
    assert texts(figure).count("diverged") == 2
    figure.savefig(tmp_path / "map.png")
    assert plots.sweep(sweep(short, {"schedule.max_lr": ["1e9"]})).keys() <= {"sweep_curves"}


def line_between(config: Config, alphas: str) -> InterpolationResult:
    small = {"model.name": "resnet20", "model.options.num_blocks": "[1, 1, 1]", "interpolate.alphas": alphas}
    config = with_overrides(config, small)
    states = [Trainer(with_overrides(config, {"seed": seed})).model.state_dict() for seed in (0, 1)]
    states[1]["bn1.running_var"].fill_(0.5)  # negative from α = 2 up
    return interpolate(config, *states)


def test_a_line_shows_every_number_its_ends_and_its_nan(config: Config, tmp_path: Path) -> None:
    result = line_between(config, "-1:3:9")
    figure = plots.interpolation(result)
    top, bottom = figure.axes
    assert labels_of(figure)[0] == ("", "cross-entropy (nats)")
    assert bottom.get_ylabel() == "images right"
    for axes, measure in ((top, "loss"), (bottom, "accuracy")):
        drawn = {line.get_label(): (line.get_linestyle(), np.asarray(line.get_ydata())) for line in axes.lines}
        for bn, name, style in (("recompute", "measured anew", "-"), ("interpolate", "averaged", "--")):
            for part, who in (("train", "training"), ("valid", "validation")):
                found, values = drawn[f"{who}, BatchNorm {name}"]
                assert found == style
                assert np.array_equal(values, result.curves[bn][f"{part}_{measure}"], equal_nan=True)
    assert "NaN: negative variance in bn1" in texts(figure)
    assert [text.get_text() for text in top.texts][:2] == ["A", "B"]
    figure.savefig(tmp_path / "interpolation.png")


def test_the_title_says_what_was_found(config: Config, tmp_path: Path) -> None:
    result = line_between(config, "0:1:3")
    for connected, title in ((True, "Connected"), (False, "Separated by a barrier of 1.2"), (None, "Not finite")):
        barrier = {"recompute": {"train": 1.2, "valid": 1.0}}
        found = replace(result, summary={**result.summary, "connected": connected, "barrier": barrier})
        figure = plots.interpolation(found)
        assert figure.axes[0].get_title(loc="left") == title
        figure.savefig(tmp_path / "interpolation.png")
    figure = plots.interpolations({"one": result, "other": result})
    assert len(figure.axes) == 4
    assert figure.axes[0].get_title(loc="left").startswith("one: ")


@pytest.mark.parametrize("known", [16, 5, 0])
def test_a_plane_marks_its_corners(tmp_path: Path, known: int) -> None:
    """Also one that has holes, or nothing at all."""
    side = np.linspace(-1, 5, 4)
    losses = np.where(np.arange(16) < known, np.linspace(0.1, 3, 16), np.nan).reshape(4, 4)
    corners = {"a": (0.0, 0.0), "b": (4.0, 0.0), "c": (1.0, 3.0)}
    summary = {"corners": {name: {"valid_loss": loss} for name, loss in zip("abc", (0.1, 0.2, None), strict=True)}}
    figure = plots.plane(PlaneResult("finished", side, side, losses, corners, summary))
    assert texts(figure) == "A  0.1 B  0.2 C"
    figure.savefig(tmp_path / "plane.png")
