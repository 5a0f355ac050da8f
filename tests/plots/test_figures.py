from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Annotation

from hpcli import plots
from hpcli.config import Config, with_overrides
from hpcli.config.varying import with_values
from hpcli.data.dataset import load_splits
from hpcli.experiments.interpolate import interpolate
from hpcli.experiments.lr_find import lr_find
from hpcli.experiments.sweep import sweep
from hpcli.experiments.train import train
from hpcli.plots.style import GREY
from hpcli.plots.train import early_figures
from hpcli.recording.memory import MemoryRecorder
from hpcli.results.batch_size import BatchSize, BatchSizeResult
from hpcli.results.data import DataFacts
from hpcli.results.evaluate import EvaluateResult, Score
from hpcli.results.interpolate import InterpolateResult
from hpcli.results.lr_find import LRFindPoint, LRFindResult, early_overfitting
from hpcli.results.plane import Corner, PlaneResult
from hpcli.results.train import TrainResult
from hpcli.states import BatchNorm, Judgement, RunStatus
from hpcli.training.schedules import training_schedule
from hpcli.training.trainer import Trainer


@pytest.fixture
def result(config: Config) -> TrainResult:
    return train(config)


def labels_of(figure: Figure) -> list[tuple[str, str]]:
    return [(axes.get_xlabel(), axes.get_ylabel()) for axes in figure.axes]


def texts(figure: Figure) -> str:
    return " ".join(text.get_text() for axes in figure.axes for text in axes.texts)


def legend(figure: Figure) -> str:
    return " ".join(text.get_text() for each in figure.legends for text in each.get_texts())


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


@pytest.mark.parametrize(("classes", "shown"), [(5, ["top-1"]), (6, ["top-5", "top-1"])])
def test_top_5_of_five_classes_is_not_drawn(result: TrainResult, classes: int, shown: list[str]) -> None:
    few = replace(result, data=replace(result.data, classes=result.data.classes[:classes]))
    assert [line.get_label() for line in plots.accuracy(few).axes[0].lines] == shown


def test_accuracy_is_in_per_cent(result: TrainResult, tmp_path: Path) -> None:
    figure = plots.accuracy(result)
    assert f"{result.epochs['valid_accuracy'][-1]:.1%}" in texts(figure)
    assert figure.axes[0].yaxis.get_major_formatter()(0.5) == "50%"
    figure.savefig(tmp_path / "accuracy.png")


def test_the_gradients_norm_is_drawn_where_it_was_recorded(config: Config, tmp_path: Path) -> None:
    found = train(with_overrides(config, {"train.clip_norm": 1.5}))
    assert found.gradients is not None
    figure = plots.figures(found)["grad_norm"]
    (axes,) = figure.axes
    drawn = {str(line.get_label()): np.asarray(line.get_ydata()) for line in axes.lines}
    assert np.array_equal(drawn["each step"], found.steps["grad_norm"])
    assert set(drawn[f"clipped to 1.5, {found.gradients.clipped:.0%} of the steps"]) == {1.5}
    figure.savefig(tmp_path / "grad_norm.png")
    assert "grad_norm" not in plots.figures(train(config))


def overlaid(config: Config, breaks: dict[str, list[float | None]]) -> LRFindResult:
    """Made-up range tests of momenta: each falls to 1.5 at 0.01, and breaks where it is said to."""
    recorder = MemoryRecorder()
    DataFacts.of(load_splits(config)).record(recorder)
    lr = np.geomspace(1e-6, 10, 211)
    for value, ends in breaks.items():
        for seed, end in enumerate(ends):
            loss = 2.3 - 0.8 / (1 + np.exp(-8 * (np.log10(lr) + 3))) + 0.1 * seed
            high = lr >= (end or 100)
            for step, (rate, own, gone) in enumerate(zip(lr, np.where(high, 99.0, loss), high, strict=True)):
                recorder.add(LRFindPoint(step, rate, own, math.nan if gone else own, seed, value))
    varied = with_values(config, "lr_find", {"momentum": [float(value) for value in breaks]})
    return LRFindResult.from_rows(varied, RunStatus.FINISHED, recorder)


def test_overlaid_curves_say_and_show_where_they_break(config: Config, tmp_path: Path) -> None:
    """Words, legend, dashed lines and curves: the same breaks."""
    result = overlaid(config, {"0.9": [0.5, 1.0, 2.0], "0.8": [0.1, None, None], "0.5": [None, None, None]})
    figure = plots.lr_find(result)
    (axes,) = figure.axes
    strong = {str(line.get_label()): line for line in axes.lines if line.get_linewidth() > 2}
    assert list(strong) == [
        "momentum 0.9: breaks at 1",
        "momentum 0.8: 1 of 3 seeds break",
        "momentum 0.5: does not break",
    ]
    dashed = [line for line in axes.lines if line.get_linestyle() == "--" and line.get_color() != GREY]
    assert [float(np.asarray(line.get_xdata())[0]) for line in dashed] == [pytest.approx(1.0, rel=0.05)]
    last = [
        float(np.asarray(line.get_xdata())[np.isfinite(np.asarray(line.get_ydata()))][-1]) for line in strong.values()
    ]
    assert last == [pytest.approx(0.5, rel=0.1), pytest.approx(10), pytest.approx(10)]
    means = np.asarray(strong["momentum 0.8: 1 of 3 seeds break"].get_ydata())
    assert means[120] == pytest.approx(1.6, abs=0.01)  # of all three
    assert means[-1] == pytest.approx(1.65, abs=0.01)  # of the two that are left
    summary = result.summary()
    assert summary["by_value"]["0.8"] == {  # type: ignore[index]
        "suggested_lr": result.by_value["0.8"].suggested_lr, "blow_up_lr": None, "seeds_broken": 1,
        "lowest_loss": pytest.approx(1.6, abs=0.01),
    }  # fmt: skip
    assert "momentum 0.9: max_lr" in str(summary["sentence"])
    assert "The loss breaks at 1" in str(summary["sentence"])
    assert "Of 3 seeds 1 breaks; otherwise the loss does not break" in str(summary["sentence"])
    figure.savefig(tmp_path / "lr_find.png")


@pytest.mark.parametrize("end_lr", [1e-2, 1e3])
def test_lr_find_is_logarithmic_and_marks_the_break(config: Config, tmp_path: Path, end_lr: float) -> None:
    result = lr_find(with_overrides(config, {"lr_find.end_lr": end_lr, "lr_find.steps": 80, "lr_find.seeds": 2}))
    assert result.suggestion is not None
    assert list(plots.figures(result)) == ["lr_find"]
    figure = plots.lr_find(result)
    (axes,) = figure.axes
    assert axes.get_xscale() == "log"
    assert labels_of(figure) == [("learning rate", "training loss (nats)")]
    assert ("breaks at" in texts(figure)) == (result.suggestion.blow_up_lr is not None) == (end_lr > 1)
    suggested = result.suggestion.suggested_lr
    title = axes.get_title(loc="left")
    assert (f"{suggested:.2g}" in texts(figure)) if suggested else ("no suggestion" in title)
    assert str(result.suggestion.refused or "") in texts(figure).replace("\n", " ")
    figure.savefig(tmp_path / "lr_find.png")


def test_early_overfitting_is_marked_and_said(config: Config, tmp_path: Path) -> None:
    """Smith's early sign (1803.09820, figure 1): the validation loss dips and rises while the training loss falls on."""
    result = lr_find(with_overrides(config, {"lr_find.steps": 80, "lr_find.end_lr": 1e-2, "lr_find.seeds": 2}))
    dip = ((1e-3, 1.0, 1.0), (2e-3, 0.8, 0.73), (3e-3, 0.7, 0.78), (4e-3, 0.6, 0.85))
    first, second = result.curves
    one = replace(result, curves=(replace(first, valid=dip), second))
    assert early_overfitting(one.curves) is None  # one of two seeds is no majority
    assert "overfits" not in legend(plots.lr_find(one))
    both = replace(result, curves=(replace(first, valid=dip), replace(second, valid=dip)))
    figure = plots.lr_find(both)
    assert "overfits from here: 0.002" in legend(figure)
    assert labels_of(figure) == [("learning rate", "loss (nats)")]
    assert any(np.asarray(line.get_xdata()).tolist() == [2e-3, 2e-3] for line in figure.axes[0].lines)
    figure.savefig(tmp_path / "lr_find.png")


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("count", [1, 5, 40])
def test_a_batch_is_a_grid_with_labels(tmp_path: Path, channels: int, count: int) -> None:
    images = np.zeros((count, 8, 8, channels), np.uint8)
    figure = plots.batch(images, np.arange(count) % 2, ("cat", "dog"))
    (axes,) = figure.axes
    assert len(axes.images) == min(count, 36)
    assert [text.get_text() for text in axes.texts[:-1]] == ["cat", "dog", "cat", "dog", "cat"][:count] or count == 40
    figure.savefig(tmp_path / "batch.png")


@pytest.mark.parametrize("shape", [(30, 60), (60, 30), (32, 32)])
def test_the_images_of_a_batch_keep_their_shape_and_do_not_overlap(shape: tuple[int, int]) -> None:
    figure = plots.batch(np.zeros((7, *shape, 3), np.uint8), np.zeros(7, int), ("cat",))
    figure.draw_without_rendering()
    boxes = [image.get_window_extent() for image in figure.axes[0].images]
    labels = [text.get_window_extent() for text in figure.axes[0].texts]
    for number, box in enumerate(boxes):
        assert box.width / box.height == pytest.approx(shape[1] / shape[0])
        assert 0 < box.x0 < box.x1 < figure.bbox.width
        assert 0 < box.y0 < box.y1 < figure.bbox.height
        others = boxes[:number] + boxes[number + 1 :] + labels
        assert not any(box.overlaps(other) for other in others)
    assert labels[-1].x1 < figure.bbox.width


def test_what_cannot_be_drawn_well_is_still_drawn(config: Config, tmp_path: Path) -> None:
    """A run stopped in its first epoch, and losses that are not numbers."""
    short = train(with_overrides(config, {"train.epochs": 1}))
    no_epoch = {name: values[:0] for name, values in short.epochs.items()}
    few = {name: values[:2] for name, values in short.steps.items()}
    empty = replace(short, status=RunStatus.INTERRUPTED, steps=few, epochs=no_epoch, batch=None)
    broken = {**short.steps, "train_loss": np.full(7, np.nan)}
    lost = replace(short, status=RunStatus.DIVERGED, steps=broken, epochs=no_epoch)
    for result in (empty, lost):
        figures = plots.figures(result)
        assert ("batch" in figures) == (result.batch is not None)
        assert figures["loss"].axes[0].get_title(loc="left") == f"Loss ({result.status})"
        for name, figure in figures.items():
            figure.savefig(tmp_path / f"{name}.png")
            assert (tmp_path / f"{name}.png").stat().st_size > 1000


def test_what_can_be_seen_before_training(result: TrainResult) -> None:
    assert list(early_figures(result)) == ["schedule", "batch"]
    assert list(early_figures(replace(result, batch=None))) == ["schedule"]
    assert list(plots.figures(result)) == ["schedule", "batch", "loss", "accuracy"]


def test_the_batch_that_was_kept_is_drawn_with_its_classes(result: TrainResult) -> None:
    assert result.batch is not None
    (grid,) = early_figures(result)["batch"].axes
    assert len(grid.images) == 32
    assert [text.get_text() for text in grid.texts[:32]] == [str(label) for label in result.batch.labels]
    assert all(
        np.array_equal(np.asarray(image.get_array()), picture.squeeze(-1))
        for image, picture in zip(grid.images, result.batch.images, strict=True)
    )


@pytest.mark.usefixtures("_anything_is_learnt")
def test_a_sweep_shows_what_can_be_told_apart(config: Config, tmp_path: Path) -> None:
    short = with_overrides(config, {"sweep.epochs": 2, "sweep.seeds": 3, "data.train_fraction": 0.1})
    result = sweep(short, {"schedule.max_lr": [1e-3, 3e-3, 1e9]})
    figures = plots.figures(result)
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
    assert "too small to matter" in legend(figures["sweep"])
    dots = [line for line in axes.lines if len(np.asarray(line.get_ydata())) == 3]
    assert result.verdict is not None
    best = [each.verdict for each in result.verdict.comparisons].index(Judgement.BEST)
    paired = result.losses[:2] - result.losses[best]
    assert sorted(np.asarray(dot.get_ydata()).tolist() for dot in dots) == sorted(paired.tolist())
    assert labels_of(figures["sweep_curves"]) == [("epochs trained", "validation loss (nats)")]
    for name, figure in figures.items():
        figure.savefig(tmp_path / f"{name}.png")


@pytest.mark.usefixtures("_anything_is_learnt")
def test_one_epoch_is_no_curve_and_a_band_too_narrow_to_see_is_not_named(config: Config) -> None:
    short = with_overrides(config, {"sweep.epochs": 1, "sweep.seeds": 2, "data.train_fraction": 0.1})
    result = sweep(with_overrides(short, {"sweep.matters": 1e-9}), {"schedule.max_lr": [1e-4, 3e-3]})
    figures = plots.figures(result)
    assert sorted(figures) == ["sweep"]
    assert "too small to matter" not in legend(figures["sweep"])


@pytest.mark.usefixtures("_anything_is_learnt")
def test_two_keys_are_a_map_and_nothing_is_drawn_of_nothing(config: Config, tmp_path: Path) -> None:
    short = with_overrides(config, {"sweep.epochs": 1, "sweep.seeds": 2, "data.train_fraction": 0.1})
    result = sweep(short, {"schedule.max_lr": [1e-3, 1e9], "weight_decay": [0.0, 1.0]})
    figure = plots.figures(result)["sweep_map"]
    assert labels_of(figure)[0] == ("optimizer.weight_decay", "schedule.max_lr")
    assert texts(figure).count("diverged") == 2
    figure.savefig(tmp_path / "map.png")
    assert plots.figures(sweep(short, {"schedule.max_lr": [1e9]})).keys() <= {"sweep_curves"}


def line_between(config: Config, alphas: str) -> InterpolateResult:
    small = {"model.name": "resnet20", "model.options.num_blocks": [1, 1, 1], "interpolate.alphas": alphas}
    config = with_overrides(config, small)
    a, b = (Trainer.from_config(with_overrides(config, {"seed": seed})).model.state_dict() for seed in (0, 1))
    b["bn1.running_var"].fill_(0.5)  # negative from α = 2 up
    return interpolate(a, b, config=config)


def test_a_line_shows_every_number_its_ends_and_its_nan(config: Config, tmp_path: Path) -> None:
    result = line_between(config, "-1:3:9")
    figure = plots.figures(result)["interpolation"]
    top, bottom = figure.axes
    assert labels_of(figure)[0] == ("", "cross-entropy (nats)")
    assert bottom.get_ylabel() == "images right"
    for axes, measure in ((top, "loss"), (bottom, "accuracy")):
        drawn = {line.get_label(): (line.get_linestyle(), np.asarray(line.get_ydata())) for line in axes.lines}
        for bn, name, style in (
            (BatchNorm.RECOMPUTE, "measured anew", "-"),
            (BatchNorm.INTERPOLATE, "averaged", "--"),
        ):
            for part, who in (("train", "training"), ("valid", "validation")):
                found, values = drawn[f"{who}, BatchNorm {name}"]
                assert found == style
                assert np.array_equal(values, result.curves[bn][f"{part}_{measure}"], equal_nan=True)
    assert "NaN: negative variance in bn1" in texts(figure)
    assert [text.get_text() for text in top.texts][:2] == ["A", "B"]
    figure.savefig(tmp_path / "interpolation.png")


def test_the_title_says_what_was_found(config: Config, tmp_path: Path) -> None:
    result = line_between(config, "0:1:3")
    curve = result.curves[BatchNorm.RECOMPUTE]
    for middle, connected, title in (
        (1.0, True, "Connected"),
        (2.2, False, "Separated by a barrier of 1.2"),
        (np.nan, None, "Not finite"),
    ):
        shaped = {**curve, "train_loss": np.array([1.0, middle, 1.0]), "rise_error": np.zeros(3)}
        found = replace(result, curves={**result.curves, BatchNorm.RECOMPUTE: shaped})
        assert found.connected is connected
        figure = plots.interpolation(found)
        top = figure.axes[0]
        assert top.get_title(loc="left") == title
        arrows = [each.arrow_patch for each in top.texts if isinstance(each, Annotation) and each.arrow_patch]
        assert len(arrows) == (connected is False)
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
    found = tuple(Corner(name, *corners[name], loss) for name, loss in zip("abc", (0.1, 0.2, None), strict=True))
    figure = plots.plane(PlaneResult(RunStatus.FINISHED, side, side, losses, found, BatchNorm.RECOMPUTE))
    assert texts(figure) == "A  0.1 B  0.2 C"
    figure.savefig(tmp_path / "plane.png")


def test_a_plane_is_drawn_once_it_is_complete(config: Config) -> None:
    small = {"interpolate.alphas": "0,1", "interpolate.plane_points": 3}
    states = [Trainer.from_config(with_overrides(config, {"seed": seed})).model.state_dict() for seed in range(3)]
    result = interpolate(*states, config=with_overrides(config, small))
    assert list(plots.figures(result)) == ["interpolation", "plane"]
    assert list(plots.figures(replace(result, status=RunStatus.INTERRUPTED))) == ["interpolation"]
    stopped = replace(result, status=RunStatus.INTERRUPTED, plane=None)
    assert plots.figures(stopped) == {}


def test_batch_sizes_show_every_rate_and_what_does_not_fit(config: Config, tmp_path: Path) -> None:
    rows = (
        BatchSize(16, 1000.0, 0.016, 0.5, True),
        BatchSize(32, 1900.0, 0.017, 0.6, True),
        BatchSize(64, 1950.0, 0.033, 0.7, True),
        BatchSize(128, None, None, None, False),
    )
    result = BatchSizeResult(RunStatus.FINISHED, config, rows)
    figure = plots.figures(result)["batch_size"]
    (axes,) = figure.axes
    assert axes.get_xscale() == "log"
    assert np.asarray(axes.lines[0].get_xdata()).tolist() == [16, 32, 64]
    assert np.asarray(axes.lines[0].get_ydata()).tolist() == [1000, 1900, 1950]
    assert texts(figure) == "enough: 32 does not fit"
    assert plots.figures(replace(result, rows=rows[3:])) == {}
    figure.savefig(tmp_path / "batch_size.png")


@pytest.mark.parametrize(
    ("rates", "text"),
    [
        ({64: 3000}, ""),
        ({32: 3000, 64: 3100}, "enough: 32"),
        ({16 * 2**power: 900 * power + 900 for power in range(6)}, "still growing"),
        ({16 * 2**power: 4000 + power for power in range(12)}, "enough: 16"),
        ({16: 900, 32: 1700, 64: 2900, 128: 4100, 256: 4200, 512: 4150}, "enough: 128"),
    ],
)
def test_a_batch_size_is_labelled_in_the_open(
    config: Config, tmp_path: Path, rates: dict[int, float], text: str
) -> None:
    """The label lies over no tick's, nor out of the picture, and no marker is cut."""
    rows = tuple(BatchSize(size, rate, size / rate, None, True) for size, rate in rates.items())
    figure = plots.figures(BatchSizeResult(RunStatus.FINISHED, config, rows))["batch_size"]
    figure.savefig(tmp_path / "batch_size.png")
    (axes,) = figure.axes
    assert texts(figure) == text
    frame = axes.get_window_extent()
    for label in axes.texts:
        box = label.get_window_extent()
        assert figure.bbox.x0 <= box.x0 < box.x1 <= figure.bbox.x1
        assert not any(box.overlaps(tick.get_window_extent()) for tick in axes.get_yticklabels())
    places = axes.transData.transform(list(rates.items()))
    for x, y in places:
        assert frame.x0 + 10 < x < frame.x1 - 10
        assert frame.y0 + 10 < y < frame.y1 - 10


@pytest.mark.parametrize("num_classes", [3, 40])
def test_a_confusion_shows_each_share_by_name_or_by_colour(tmp_path: Path, num_classes: int) -> None:
    counts = np.diag(np.full(num_classes, 4))
    counts[0, 1], counts[0, 0] = 3, 1
    names = tuple(f"class {number}" for number in range(num_classes))
    score = Score("valid", int(counts.sum()), 0.5, 0.9, 1.0)
    result = EvaluateResult(RunStatus.FINISHED, None, names, counts, (), score)
    figure = plots.figures(result)["confusion"]
    axes = figure.axes[0]
    shares = np.asarray(axes.images[0].get_array())
    assert (shares[0, 0], shares[0, 1], shares[1, 1]) == (0.25, 0.75, 1.0)
    accuracy = counts.trace() / counts.sum()
    assert axes.get_title(loc="left") == f"{accuracy:.1%} of {counts.sum()} validation images right"
    assert texts(figure) == ("25 75 100 100" if num_classes == 3 else "")
    assert ("by its row" in axes.get_ylabel()) == (num_classes == 40)
    assert plots.figures(replace(result, score=None)) == {}
    figure.savefig(tmp_path / "confusion.png")
