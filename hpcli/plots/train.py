"""Pictures of a training run: its schedule, a batch, loss and accuracy, the gradient's norm."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, PercentFormatter
from numpy.typing import ArrayLike

from hpcli.analysis.curves import smooth
from hpcli.config.varying import written
from hpcli.plots.grid import picture_grid
from hpcli.plots.style import (
    BLUE,
    GREY,
    INK,
    ORANGE,
    count_epochs,
    epochs_on_top,
    label,
    legend_below,
    log_if_wide,
    loss_axis,
    shortened,
    styled,
)
from hpcli.results.diagnosis import mark
from hpcli.results.gradients import two_digits
from hpcli.results.train import TrainResult
from hpcli.states import RunStatus, Sign
from hpcli.training.schedules import Schedule


def figures(result: TrainResult) -> dict[str, Figure]:
    """All pictures of a training run, by name."""
    found = {**early_figures(result), "loss": loss(result), "accuracy": accuracy(result)}
    return found if result.gradients is None else found | {"grad_norm": grad_norm(result)}


def early_figures(result: TrainResult) -> dict[str, Figure]:
    """What can be seen before the first step: `schedule`, and `batch` where one was kept."""
    found = {"schedule": schedule(result.schedule, result.steps_per_epoch)}
    pictures = result.batch
    if pictures is None:
        return found
    partners, share = pictures.partners, pictures.share
    drawn = batch(pictures.images, pictures.labels, pictures.classes, partners=partners, share=share)
    return found | {"batch": drawn}


@styled
def schedule(table: Schedule, steps_per_epoch: int) -> Figure:
    """Learning rate above momentum, step by step, from the table that training reads."""
    figure = Figure(figsize=(7.2, 4.8))
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    step = np.arange(len(table))
    dot = "o" if len(table) == 1 else ""  # a line of one step cannot be seen
    top.plot(step, table.lr, marker=dot, color=BLUE)
    peak = int(np.argmax(table.lr))
    top.set(ylabel="learning rate", title="Schedule", ylim=(0, 1.18 * table.lr[peak]))
    top.plot(peak, table.lr[peak], "o", color=BLUE, markersize=5)
    top.yaxis.set_major_formatter(FuncFormatter(lambda lr, _: _rate(lr)))
    label(top, f"{_rate(table.lr[peak])} at step {peak:,}", (peak, table.lr[peak]), BLUE, above=True)
    bottom.plot(step, table.momentum, marker=dot, color=ORANGE)
    bottom.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    low, high = float(table.momentum.min()), float(table.momentum.max())
    bottom.set(ylabel="momentum", xlabel="step", ylim=(low - 0.02, min(high + 0.02, 1.0)))
    for end in table.cycle_ends[:-1]:
        for axes in (top, bottom):
            axes.axvline(end, color=GREY, linewidth=0.9, linestyle=":")
    epochs_on_top(top, steps_per_epoch, len(table))
    return figure


@styled
def loss(result: TrainResult) -> Figure:
    """Training loss, raw and smoothed, with both losses measured in evaluation mode at each epoch's end."""
    figure = Figure()
    axes = figure.subplots()
    step, raw = result.steps["step"], result.steps["train_loss"]
    dots = "." if len(step) < 30 else ""
    axes.plot(step, raw, marker=dots, color=GREY, linewidth=0.7, markersize=3, alpha=0.55, label="training, each batch")
    if len(step) > 5:
        axes.plot(step, smooth(step, raw, len(step) / 40), color=BLUE, label="training, smoothed")
    at, valid, train = (result.epochs[name] for name in ("step", "valid_loss", "train_eval_loss"))
    if len(at):
        axes.plot(at, train, "o--", color=BLUE, markersize=3.5, linewidth=1, label="training, evaluated")
        axes.plot(at, valid, "o-", color=ORANGE, markersize=4.5, label="validation")
    start = raw[np.isfinite(raw)][:1]
    loss_axis(axes, np.concatenate((raw, valid, train)), max([result.data.chance_loss(), *start]))
    best = int(np.nanargmin(valid)) if np.isfinite(valid).any() else None
    if best is not None and valid[best] < axes.get_ylim()[1]:
        lowest = f"lowest: {valid[best]:#.3g}"
        axes.plot(at[best], valid[best], "o", color=ORANGE, markersize=10, mfc="none", label=lowest)
    _mark_signs(axes, result)
    title = "Loss" if result.status == RunStatus.FINISHED else f"Loss ({result.status})"
    axes.set(xlabel="step", ylabel="cross-entropy (nats)", title=title)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    epochs_on_top(axes, result.steps_per_epoch, len(result.schedule))
    legend_below(figure)
    return figure


def _mark_signs(axes: Axes, result: TrainResult) -> None:
    """A quiet line at the epoch of each sign that has one, named in the legend as the log names it.

    At its end, where it is validated; of a jump in its middle.
    """
    ends = result.epochs["step"]
    for index, found in enumerate(each for each in result.diagnosis if mark(each) is not None):
        epoch = found.epochs[0]
        back = result.steps_per_epoch / 2 if found.sign == Sign.UNSTABLE else 0
        axes.axvline(
            ends[epoch] - back, color=INK, linewidth=0.9, linestyle=("--", ":", "-.")[index % 3],
            label=f"epoch {epoch}: {mark(found)}", zorder=1,
        )  # fmt: skip


@styled
def accuracy(result: TrainResult) -> Figure:
    """Validation accuracy by epochs trained, and top-5 where there are more classes than five."""
    figure = Figure()
    axes = figure.subplots()
    epoch, top1, top5 = (result.epochs[name] for name in ("epoch", "valid_accuracy", "valid_top5"))
    if len(result.data.classes) > 5:
        axes.plot(epoch + 1, top5, "o-", color=GREY, markersize=3.5, linewidth=1.2, label="top-5", clip_on=False)
    axes.plot(epoch + 1, top1, "o-", color=ORANGE, markersize=4.5, label="top-1", clip_on=False)
    if len(top1) and np.isfinite(top1[-1]):
        label(axes, f"{top1[-1]:.1%}", (epoch[-1] + 1, top1[-1]), ORANGE, beside=True)
    axes.set(ylabel="validation images", title="Validation accuracy", ylim=(0, 1.03))
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    count_epochs(axes, len(epoch))
    legend_below(figure)
    return figure


@styled
def grad_norm(result: TrainResult) -> Figure:
    """The gradient's norm at every step, before clipping, with what it was clipped to, or where it could be."""
    figure = Figure()
    axes = figure.subplots()
    step, norms, found = result.steps["step"], result.steps["grad_norm"], result.gradients
    axes.plot(step, norms, color=GREY, linewidth=0.7, alpha=0.55, label="each step")
    if len(step) > 5:
        axes.plot(step, smooth(step, norms, len(step) / 40), color=BLUE, label="smoothed")
    if found is not None:
        named = f"nine in ten lie below {two_digits(found.threshold)}"
        axes.axhline(found.threshold, color=INK, linewidth=0.9, linestyle="--", label=named, zorder=1)
    clip_norm = result.config.train.clip_norm
    if found is not None and found.clipped is not None and clip_norm is not None:
        named = f"clipped to {clip_norm:g}, {found.clipped:.0%} of the steps"
        axes.axhline(clip_norm, color=ORANGE, linewidth=1.2, label=named, zorder=1)
    log_if_wide(axes, norms)
    axes.set(xlabel="step", ylabel="norm, before clipping", title="Gradient")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    epochs_on_top(axes, result.steps_per_epoch, len(result.schedule))
    legend_below(figure)
    return figure


@styled
def batch(
    images: ArrayLike,
    labels: ArrayLike,
    classes: tuple[str, ...],
    *,
    most: int = 36,
    partners: ArrayLike | None = None,
    share: float = 1.0,
) -> Figure:
    """A grid of training images as the network gets them, augmented and mixed, with their labels.

    Args:
        images: uint8 [B, H, W, C]; C is 1 or 3.
        labels: int64 [B].
        classes: name of each label.
        most: show so many.
        partners: int64 [B], of the images that each is mixed with; None: they are not mixed.
        share: of its own label.
    """
    pixels, numbers = np.asarray(images)[:most], np.asarray(labels)[:most]
    title = "A training batch, as the network sees it"
    if partners is None:
        return picture_grid(pixels, [[(shortened(classes[number], 14), INK)] for number in numbers], title)
    shares = [(numbers, share), (np.asarray(partners)[:most], 1 - share)]
    lines = [[(f"{part:.0%} {shortened(classes[number], 9)}", INK) for number in each] for each, part in shares]
    return picture_grid(pixels, list(zip(*lines, strict=True)), f"{title}, mixed")


def _rate(lr: float) -> str:
    """A learning rate in three digits: 0.0125, 3e-5."""
    return f"{lr:.3g}" if lr >= 1e-3 else written(float(f"{lr:.3g}"))
