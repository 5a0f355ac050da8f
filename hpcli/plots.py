"""Results as matplotlib figures. Nothing here trains, saves or shows.

One look for all: grey for raw numbers, blue for training, orange for validation, red for what went wrong; every axis
labelled, with its unit.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter, PercentFormatter
from numpy.typing import ArrayLike, NDArray

from hpcli.analysis.curves import smooth
from hpcli.experiments.lr_find import LRFindResult
from hpcli.experiments.train import TrainResult
from hpcli.training.schedules import Schedule, training_schedule
from hpcli.training.trainer import Trainer

BLUE, ORANGE, RED, GREY, GREEN = "#2563a8", "#d9730d", "#c0392b", "#9aa3ad", "#2e8b57"

STYLE: dict[Any, Any] = {
    "figure.dpi": 150,
    "figure.figsize": (7.2, 4.2),
    "figure.constrained_layout.use": True,
    "font.size": 10,
    "font.family": "sans-serif",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#55606b",
    "axes.labelcolor": "#2c333a",
    "axes.titlesize": 11.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.grid": True,
    "grid.color": "#e4e8ec",
    "grid.linewidth": 0.8,
    "axes.axisbelow": True,
    "xtick.color": "#55606b",
    "ytick.color": "#55606b",
    "legend.frameon": False,
    "lines.linewidth": 1.8,
    "lines.solid_capstyle": "round",
}

_Arguments = ParamSpec("_Arguments")


def _styled(draw: Callable[_Arguments, Figure]) -> Callable[_Arguments, Figure]:
    @wraps(draw)
    def styled(*args: _Arguments.args, **kwargs: _Arguments.kwargs) -> Figure:
        with mpl.rc_context(STYLE):
            return draw(*args, **kwargs)

    return styled


def before_training(trainer: Trainer) -> dict[str, Figure]:
    """What can be seen before the first step: `schedule` and `batch`."""
    table = training_schedule(trainer.config, trainer.steps_per_epoch)
    images, labels = trainer.loader.pictures(0)
    return {
        "schedule": schedule(table, trainer.steps_per_epoch),
        "batch": batch(images.cpu(), labels.cpu(), trainer.splits.source.classes),
    }


def after_training(result: TrainResult) -> dict[str, Figure]:
    """What came out: `loss` and `accuracy`."""
    return {"loss": loss(result), "accuracy": accuracy(result)}


@_styled
def schedule(table: Schedule, steps_per_epoch: int) -> Figure:
    """Learning rate above momentum, step by step, from the table that training reads."""
    figure = Figure(figsize=(7.2, 4.8))
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    step = np.arange(len(table))
    top.plot(step, table.lr, color=BLUE)
    peak = int(np.argmax(table.lr))
    top.set(ylabel="learning rate", title="Schedule", ylim=(0, 1.18 * table.lr[peak]))
    top.plot(peak, table.lr[peak], "o", color=BLUE, markersize=5)
    _label(top, f"{table.lr[peak]:.3g} at step {peak:,}", (peak, table.lr[peak]), BLUE, above=True)
    bottom.plot(step, table.momentum, color=ORANGE)
    low, high = float(table.momentum.min()), float(table.momentum.max())
    bottom.set(ylabel="momentum", xlabel="step", ylim=(low - 0.02, min(high + 0.02, 1.0)))
    for end in table.cycle_ends[:-1]:
        for axes in (top, bottom):
            axes.axvline(end, color=GREY, linewidth=0.9, linestyle=":")
    _epochs_on_top(top, steps_per_epoch, len(table))
    return figure


@_styled
def loss(result: TrainResult) -> Figure:
    """Training loss, raw and smoothed, with both losses measured in evaluation mode at each epoch's end."""
    figure = Figure()
    axes = figure.subplots()
    step, raw = result.steps["step"], result.steps["train_loss"]
    axes.plot(step, raw, color=GREY, linewidth=0.7, alpha=0.55, label="training, each batch")
    if len(step) > 5:
        axes.plot(step, smooth(step, raw, len(step) / 40), color=BLUE, label="training, smoothed")
    shown = [raw]
    if result.epochs:
        at = result.epochs["step"]
        valid, train = result.epochs["valid_loss"], result.epochs["train_eval_loss"]
        axes.plot(at, train, "o--", color=BLUE, markersize=3.5, linewidth=1, label="training, evaluated")
        axes.plot(at, valid, "o-", color=ORANGE, markersize=4.5, label="validation")
        shown += [valid, train]
        _mark_best(axes, at, valid)
    _log_if_wide(axes, np.concatenate(shown))
    title = "Loss" if result.status == "finished" else f"Loss ({result.status})"
    axes.set(xlabel="step", ylabel="cross-entropy (nats)", title=title)
    axes.legend(loc="best")
    _epochs_on_top(axes, result.steps_per_epoch, len(result.schedule))
    return figure


@_styled
def accuracy(result: TrainResult) -> Figure:
    """Validation accuracy, and top-5, by epoch."""
    figure = Figure()
    axes = figure.subplots()
    epoch, top1, top5 = (result.epochs.get(name, np.array([])) for name in ("epoch", "valid_accuracy", "valid_top5"))
    axes.plot(epoch, top5, "o-", color=GREY, markersize=3.5, linewidth=1.2, label="top-5")
    axes.plot(epoch, top1, "o-", color=ORANGE, markersize=4.5, label="top-1")
    if len(top1) and np.isfinite(top1[-1]):
        _label(axes, f"{top1[-1]:.1%}", (epoch[-1], top1[-1]), ORANGE)
    axes.set(xlabel="epoch (from 0)", ylabel="validation images", title="Validation accuracy", ylim=(0, 1.03))
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(loc="lower right")
    return figure


@_styled
def lr_find(result: LRFindResult) -> Figure:
    """The range test: loss against learning rate, raw and smoothed."""
    figure = Figure()
    axes = figure.subplots()
    axes.plot(result.lr, result.train_loss, color=GREY, linewidth=0.8, alpha=0.8, label="each batch")
    axes.plot(result.lr, result.smoothed_loss, color=BLUE, linewidth=2.4, label="smoothed, without lag")
    axes.axhline(result.chance_loss, color=GREY, linewidth=1, linestyle="--", label="chance")
    finite = result.smoothed_loss[np.isfinite(result.smoothed_loss)]
    ceiling = max(result.chance_loss, float(finite[0])) * 1.6 if finite.size else 1.0
    axes.set(xscale="log", ylim=(0, ceiling), xlabel="learning rate", ylabel="training loss (nats)")
    axes.set_title("Learning-rate range test")
    if finite.size:
        lowest = int(np.nanargmin(result.smoothed_loss))
        axes.plot(result.lr[lowest], result.smoothed_loss[lowest], "o", color=BLUE, markersize=6)
        _label(axes, f"lowest at {result.lr[lowest]:.2g}", (result.lr[lowest], result.smoothed_loss[lowest]), BLUE)
    if result.blow_up_lr is not None:
        axes.axvline(result.blow_up_lr, color=RED, linewidth=1.4)
        axes.annotate(
            f"broke off at {result.blow_up_lr:.2g}", (result.blow_up_lr, ceiling), xytext=(-5, -4),
            textcoords="offset points", ha="right", va="top", rotation=90, color=RED,
        )  # fmt: skip
    _plain_decades(axes)
    axes.legend(loc="lower left")
    return figure


@_styled
def batch(images: ArrayLike, labels: ArrayLike, classes: tuple[str, ...], *, most: int = 36) -> Figure:
    """A grid of training images as the network gets them, augmented, with their labels.

    Args:
        images: uint8 [B, H, W, C]; C is 1 or 3.
        labels: int64 [B].
        classes: name of each label.
        most: show so many.
    """
    pixels, numbers = np.asarray(images)[:most], np.asarray(labels)[:most]
    side = max(1, int(np.ceil(np.sqrt(len(pixels)))))
    rows = -(-len(pixels) // side)
    figure = Figure(figsize=(1.05 * side, 1.22 * rows + 0.3))
    grid = np.atleast_1d(figure.subplots(rows, side, squeeze=False)).ravel()
    for axes in grid:
        axes.set_axis_off()
    for axes, picture, number in zip(grid, pixels, numbers, strict=False):
        axes.imshow(picture.squeeze(-1) if picture.shape[-1] == 1 else picture, cmap="gray", vmin=0, vmax=255)
        axes.set_title(classes[number][:14], fontsize=8.5, weight="normal", loc="center", pad=2)
    figure.suptitle("A training batch, as the network sees it", fontsize=11, weight="bold", x=0.02, ha="left")
    return figure


def _epochs_on_top(axes: Axes, steps_per_epoch: int, num_steps: int) -> None:
    """A second axis that counts epochs, where there is more than one."""
    if num_steps <= steps_per_epoch:
        return

    def to_epoch(step: Any) -> Any:
        return np.asarray(step) / steps_per_epoch

    def to_step(epoch: Any) -> Any:
        return np.asarray(epoch) * steps_per_epoch

    top = axes.secondary_xaxis("top", functions=(to_epoch, to_step))
    top.set_xlabel("epoch", fontsize=9, color="#55606b")
    top.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=12))
    top.spines["top"].set_visible(False)
    top.tick_params(length=2)


def _mark_best(axes: Axes, at: NDArray[np.float64], valid: NDArray[np.float64]) -> None:
    if not np.isfinite(valid).any():
        return
    best = int(np.nanargmin(valid))
    _label(axes, f"{valid[best]:.3g}", (at[best], valid[best]), ORANGE, above=True)


def _label(axes: Axes, text: str, at: tuple[float, float], color: str, *, above: bool = False) -> None:
    """A bold number beside its point, readable over any line."""
    halo = [withStroke(linewidth=3, foreground="white")]
    axes.annotate(
        text, at, xytext=(0, 7 if above else -9), textcoords="offset points", ha="center",
        va="bottom" if above else "top", color=color, weight="bold", path_effects=halo,
    )  # fmt: skip


def _log_if_wide(axes: Axes, values: NDArray[np.float64]) -> None:
    """A logarithmic loss axis where the losses span more than a decade."""
    finite = values[np.isfinite(values) & (values > 0)]
    if finite.size and finite.max() > 10 * finite.min():
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.yaxis.set_minor_formatter(NullFormatter())


def _plain_decades(axes: Axes) -> None:
    axes.xaxis.set_major_locator(LogLocator(numticks=12))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda lr, _: f"{lr:g}" if lr >= 1e-3 else f"1e{round(np.log10(lr))}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
