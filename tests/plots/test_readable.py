"""That pictures can be read: nothing over anything else, ticks, limits that hold the values, colours apart."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox
from numpy.typing import NDArray

from hpcli import plots
from hpcli.config import Config, with_overrides
from hpcli.experiments.lr_find import lr_find
from hpcli.experiments.sweep import sweep
from hpcli.experiments.train import train
from hpcli.plots.caption import what_ran
from hpcli.plots.compare import LETTERS, _lines
from hpcli.plots.style import BLUE, DISTINCT, GREEN, ORANGE, RED, loss_axis, shades, shortened
from hpcli.results.evaluate import EvaluateResult, Score
from hpcli.results.train import TrainResult
from hpcli.runs.comparison import Comparison
from hpcli.states import RunStatus

Array = NDArray[np.float64]
SIGHT = {
    "all": np.eye(3),
    # Machado, Oliveira & Fernandes (2009), severity 1.
    "no green": np.array([[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]]),
    "no red": np.array([[0.152, 1.053, -0.205], [0.115, 0.786, 0.099], [-0.004, -0.048, 1.052]]),
}
XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])


def linear(colour: str) -> Array:
    rgb = np.array(to_rgb(colour))
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def contrast(colour: str) -> float:
    """To white, as the WCAG count it; 3 is their least for what is drawn."""
    return 1.05 / (0.05 + float(XYZ[1] @ linear(colour)))


def apart(one: str, other: str) -> float:
    """The least distance (CIE 1976) that any sight sees."""

    def lab(rgb: Array) -> Array:
        x, y, z = np.cbrt(XYZ @ np.clip(rgb, 0, 1) / np.array([0.9505, 1, 1.089]))
        return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])

    return min(float(np.linalg.norm(lab(sees @ linear(one)) - lab(sees @ linear(other)))) for sees in SIGHT.values())


def boxes(figure: Figure) -> dict[str, Bbox]:
    """Where every text of a figure lies, legends as one."""
    figure.draw_without_rendering()
    shown = [text for axes in figure.axes for text in (*axes.texts, axes.title, axes._left_title)]  # type: ignore[attr-defined]
    shown += [axis.label for axes in figure.axes for axis in (axes.xaxis, axes.yaxis)]
    for axes in figure.axes:
        for axis, limits in ((axes.xaxis, axes.get_xlim()), (axes.yaxis, axes.get_ylim())):
            ticks = [tick for tick in axis.get_major_ticks() if limits[0] <= tick.get_loc() <= limits[1]]
            shown += [tick.label1 for tick in ticks if tick.label1.get_visible()]
    found = {f"{n} {text.get_text()!r}": text.get_window_extent() for n, text in enumerate(shown) if text.get_text()}
    return found | {f"legend {n}": each.get_window_extent() for n, each in enumerate(figure.legends)}


def check_nothing_overlaps(figure: Figure) -> None:
    found = boxes(figure)
    for (name, box), (other, its) in itertools.combinations(found.items(), 2):
        assert not box.padded(-1).overlaps(its.padded(-1)), f"{name} over {other}"
    for name, box in found.items():
        assert figure.bbox.padded(2).containsx(box.x0), f"{name} is cut"
        assert figure.bbox.padded(2).containsx(box.x1), f"{name} is cut"
        assert figure.bbox.padded(2).containsy(box.y0), f"{name} is cut"
        assert figure.bbox.padded(2).containsy(box.y1), f"{name} is cut"
    for axes in figure.axes:
        for line in axes.lines:
            if line.get_transform() == axes.transData and line.get_linewidth() > 0.7:
                path = line.get_path()
                dense = path.interpolated(1 + 1000 // max(len(path), 1)) if len(path) > 1 else path
                places = axes.transData.transform(dense.vertices)
                within = [place for place in places if axes.bbox.padded(1).contains(*place)]
                for name, box in found.items():
                    assert not (within and box.count_contains(within)), f"{name} over a curve"


def test_colours_stand_out_from_white_and_from_each_other() -> None:
    for colour in (BLUE, ORANGE, RED, GREEN, *DISTINCT, *shades(6), *shades(12), *shades(40)):
        assert contrast(colour) >= 3, colour
    for one, other in (*itertools.combinations(DISTINCT, 2), (BLUE, ORANGE), (RED, GREEN), (BLUE, GREEN), (BLUE, RED)):
        assert apart(one, other) >= 20, (one, other)
    assert len(set(shades(40))) == 40


@pytest.mark.parametrize(
    ("text", "shown"),
    [("cat", "cat"), ("sixteen letters.", "sixteen letters."), ("class number 017 of many", "class nu… of man")],
)
def test_a_long_name_loses_its_middle_and_says_so(text: str, shown: str) -> None:
    assert len(shortened(text, 16)) <= 16
    assert shortened(text, 16)[:8] == shown[:8]
    assert ("…" in shortened(text, 16)) == (len(text) > 16)
    assert shortened(text, 16)[-3:] == text[-3:]


@pytest.fixture
def result(config: Config) -> TrainResult:
    return train(config)


@pytest.mark.parametrize("epochs", [1, 2, 50])
def test_a_training_run_can_be_read(config: Config, epochs: int) -> None:
    short = {"train.epochs": epochs, "data.train_fraction": 0.05}
    figures = plots.figures(train(with_overrides(config, short)))
    for name in ("schedule", "loss", "accuracy"):
        check_nothing_overlaps(figures[name])
        ticks = [tick for axes in figures[name].axes for tick in axes.get_xticks()]
        assert all(tick == round(tick) for tick in ticks)  # steps and epochs are whole
    assert (
        np.asarray(figures["accuracy"].axes[0].lines[1].get_xdata())[-1] == epochs
    )  # as the axis above the loss counts
    top = figures["loss"].axes[0].child_axes
    if top:
        assert np.max(figures["accuracy"].axes[0].lines[1].get_xdata()) <= top[0].get_xlim()[1]


@pytest.mark.parametrize("highest", [14.3, 3e3, 3e36])
def test_one_high_loss_flattens_nothing(result: TrainResult, highest: float) -> None:
    valid = np.array([2.3, highest, 2.1])
    steps = {**result.steps, "train_loss": np.linspace(2.3, 2.05, 21)}
    epochs = {**result.epochs, "valid_loss": valid, "train_eval_loss": np.array([2.3, 2.2, 2.1])}
    figure = plots.loss(replace(result, steps=steps, epochs=epochs))
    check_nothing_overlaps(figure)
    (axes,) = figure.axes
    low, high = axes.get_ylim()
    assert 1.9 < low < 2.05
    assert 2.3 < high < 2.6
    marks = [line for line in axes.lines if line.get_marker() == "^" and len(np.asarray(line.get_xdata()))]
    assert [np.asarray(line.get_xdata()).tolist() for line in marks] == [[result.epochs["step"][1]]]
    assert low < float(np.asarray(marks[0].get_ydata())[0]) < high
    said = [text.get_text() for text in figure.legends[0].get_texts()]
    assert f"above the axis, up to {highest:.3g}" in said
    assert "lowest: 2.10" in said


@pytest.mark.parametrize(
    ("root", "name"),
    [("photos", "photos"), ("photos/", "photos"), ("real", "real"), (".", "here"), ("real/..", "here")],
)
def test_a_folder_of_images_is_called_as_the_user_calls_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, root: str, name: str
) -> None:
    """Where it is a link, not as what that points to."""
    (tmp_path / "here/real").mkdir(parents=True)
    (tmp_path / "here/photos").symlink_to(tmp_path / "here/real")
    monkeypatch.chdir(tmp_path / "here")
    config = with_overrides(Config(), {"data.name": "folder", "data.root": root})
    assert f" on {name}, " in what_ran(config, "train")


def test_a_network_of_other_options_is_not_called_by_its_name_alone() -> None:
    assert what_ran(Config(), "train").startswith("resnet20 on ")
    smaller = with_overrides(Config(), {"model.options": {"num_blocks": [1, 1, 1]}})
    assert what_ran(smaller, "train").startswith("resnet20 (num_blocks [1, 1, 1]) on ")


def test_what_lies_above_the_axis_at_one_place_is_told_apart() -> None:
    axes = Figure().subplots()
    for number in range(6):
        axes.plot([1, 2], [20 + number, 2.0], "o-")
    axes.plot([1, 2], [2.2, 2.0], "o-")
    loss_axis(axes, [2.0, 2.2, 25.0], 2.3)
    marks = [line for line in axes.lines if line.get_marker() == "^" and len(np.asarray(line.get_xdata()))]
    assert [line.get_color() for line in marks] == [line.get_color() for line in axes.lines[:6]]
    assert [line.get_markersize() for line in marks] == [6, 10, 14, 18, 18, 18]
    assert {line.get_markerfacecolor() for line in marks} == {"none"}
    assert [line.get_label() for line in axes.lines][-1] == "above the axis, up to 25"


@pytest.mark.parametrize("lowest", [1e-1, 1e-4, 1e-30])
def test_a_logarithmic_axis_has_ticks(result: TrainResult, lowest: float) -> None:
    steps = {**result.steps, "train_loss": np.geomspace(2.3, lowest, 21)}
    (axes,) = plots.loss(replace(result, steps=steps)).axes
    axes.figure.draw_without_rendering()  # type: ignore[union-attr]
    low, high = axes.get_ylim()
    assert low <= lowest < 2.3 <= high
    assert 2 <= sum(low <= tick <= high for tick in axes.get_yticks()) <= 12


@pytest.mark.parametrize("seeds", [1, 2])
@pytest.mark.parametrize("end_lr", [1e-4, 1e2])
def test_a_range_test_can_be_read_whether_it_refuses_or_not(config: Config, seeds: int, end_lr: float) -> None:
    asked = {"lr_find.end_lr": end_lr, "lr_find.steps": 60, "lr_find.seeds": seeds, "lr_find.valid": True}
    check_nothing_overlaps(plots.lr_find(lr_find(with_overrides(config, asked))))


@pytest.mark.parametrize("values", [[0.9, 0.5], [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99]])
def test_overlaid_values_have_a_colour_each_also_for_validation(config: Config, values: list[float]) -> None:
    asked = {"lr_find.seeds": 1, "lr_find.valid": len(values) == 2}
    figure = plots.lr_find(lr_find(with_overrides(config, asked), {"momentum": values}))
    check_nothing_overlaps(figure)
    (axes,) = figure.axes
    means = [line.get_color() for line in axes.lines if line.get_linewidth() > 2]
    assert len(set(means)) == len(values)
    valid = [
        line.get_color() for line in axes.lines if line.get_markersize() == 2.5 and len(np.asarray(line.get_xydata()))
    ]
    assert valid == (means if len(values) == 2 else [])
    named = [text.get_text() for text in figure.legends[0].get_texts()]
    assert len(named) == len(set(named)) == len(values) + 2 * (len(values) == 2)


@pytest.mark.usefixtures("_anything_is_learnt")
@pytest.mark.parametrize(
    ("key", "values"),
    [
        ("schedule.max_lr", [1e-4, 3e-4, 1e-3, 2e-3, 3e-3, 5e-3, 1e-2, 2e-2, 3e-2, 1e-1, 3e-1, 1e9]),
        ("optimizer.name", ["adamw", "sgd"]),
        ("weight_decay", [0.0, 1e-2]),
    ],
)
def test_a_sweep_can_be_read(config: Config, key: str, values: list[float | str]) -> None:
    short = with_overrides(config, {"sweep.epochs": 2, "sweep.seeds": 2, "data.train_fraction": 0.1})
    result = sweep(short, {key: values})
    figures = plots.figures(result)
    check_nothing_overlaps(figures["sweep"])
    assert (key if key.endswith("name") else key.rpartition(".")[2]) in figures["sweep"].axes[0].get_title(loc="left")
    (axes,) = figures["sweep_curves"].axes
    colours = [line.get_color() for line in axes.lines if len(np.asarray(line.get_xdata())) == 2]
    assert len(colours) == len(set(colours)) >= 2
    assert np.asarray(axes.lines[0].get_xdata())[-1] == 2
    assert plots.figures(sweep(short, {key: values[:1]})).keys() == {"sweep_curves"}  # compared with nothing


@pytest.mark.parametrize("num_classes", [2, 12, 30, 300])
def test_long_names_of_classes_are_not_over_each_other(num_classes: int) -> None:
    names = tuple(f"a class with a long $name$, number {number:03}" for number in range(num_classes))
    score = Score("test", num_classes, 0.5, 1.0, 1.0)
    figure = plots.confusion(EvaluateResult(RunStatus.FINISHED, None, names, np.eye(num_classes, dtype=int), (), score))
    figure.draw_without_rendering()
    rows = [tick.label1.get_window_extent() for tick in figure.axes[0].yaxis.get_major_ticks()]
    assert not any(one.overlaps(other) for one, other in itertools.pairwise(rows))
    assert len(rows) > 1


def test_names_that_differ_in_their_middle_are_told_apart_in_a_comparison() -> None:
    names = [f"augment standard, wd 0.01, max_lr {lr}, mom 0.95-0.85" for lr in ("0.00251", "0.01")]
    settings = [SimpleNamespace(name=name, runs=(1, 2)) for name in names]
    lines, _ = _lines(cast(Comparison, SimpleNamespace(settings=settings, trained=())))
    assert [" ".join(line.name.split()) for line in lines] == [f"{name} (2 runs)" for name in names]
    assert all(len(part) <= LETTERS for line in lines for part in line.name.splitlines())
