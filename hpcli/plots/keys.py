"""What runs in a space tell of each key: their losses against it, and the lowest loss that the other keys allow."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from numpy.typing import NDArray
from pydantic import JsonValue

from hpcli.analysis.profile import Profile
from hpcli.config.space import Dimension
from hpcli.plots.dimension import loss_ticks, scale, x_of
from hpcli.plots.style import BLUE, GREEN, GREY, INK, ORANGE, RED, legend_below, styled
from hpcli.results.searched import LOST, Fitted

ONE_KEY = 5.6
"""Inches of the picture of a single key."""


@styled
def keys(fitted: Fitted, title: str, *, in_order: bool = False) -> Figure:
    """For each key the loss of every run against it, and the lowest loss that the other keys allow, with its band.

    Args:
        fitted: the runs.
        title: of the picture.
        in_order: runs were chosen one by one: later ones are darker.
    """
    count = len(fitted.space)
    columns = min(count, 3)
    rows = -(-count // columns)
    figure = Figure(figsize=(3.4 * columns + 0.6 if columns > 1 else ONE_KEY, 3.3 * rows + 0.9))
    grid = figure.subplots(rows, columns, squeeze=False, sharey=True)
    for place, axes in enumerate(grid.flat):
        if place >= count:
            axes.set_visible(False)
            continue
        _key(axes, fitted, place, in_order=in_order)
    for row in grid:
        row[0].set_ylabel("validation loss (nats)")
    title_above(figure, title)
    legend_below(figure)
    return figure


def title_above(figure: Figure, title: str) -> None:
    """A title over all axes of a figure; where there is but one, over that: a narrow figure's corner says what ran."""
    if len(figure.axes) == 1:
        figure.axes[0].set_title(title)
    else:
        figure.suptitle(title, x=0.01, ha="left", fontsize=11.5, fontweight="bold")


def _key(axes: Axes, fitted: Fitted, place: int, *, in_order: bool) -> None:
    dimension, searched = fitted.space[place], fitted.searched
    points, losses = searched.points[:, place], np.exp(searched.losses)
    if fitted.profiles:
        name = "lowest that the others allow" if len(fitted.space) > 1 else "fitted"
        _profile(axes, fitted.profiles[place], dimension, name)
    ages = np.linspace(0.25, 1, len(points)) if in_order else np.full(len(points), 0.75)
    x, lost = x_of(dimension, points), searched.lost
    axes.scatter(x, np.where(lost, np.nan, losses), s=20, c=[to_rgba(BLUE, age) for age in ages], lw=0, zorder=3)
    if not lost.all():
        axes.scatter([], [], s=20, color=BLUE, lw=0, label=f"a run{' (earlier ones fainter)' * in_order}")
    mark_lost(axes, x[lost], losses[lost])
    fresh = [trial for trial in fitted.fresh if trial.has_ended]
    if fresh:
        at = np.array([dimension.place(searched.values(trial.value)[dimension.key]) for trial in fresh])
        axes.scatter(x_of(dimension, at), [np.exp(searched.log_loss(trial)) for trial in fresh], s=30, marker="x",
                     color=ORANGE, lw=1.4, zorder=4, label="on fresh seeds")  # fmt: skip
    if dimension.key in fitted.present:
        axes.axvline(_x(dimension, fitted.present[dimension.key]), color=INK, lw=1.2, ls=":", label="present")
    if fitted.choice is not None:
        axes.axvline(_x(dimension, fitted.choice[dimension.key]), color=GREEN, lw=1.6, label="to use")
    tried = np.append(losses, [np.exp(searched.log_loss(trial)) for trial in fresh])
    low, high = tried.min(), min(losses.max(), 1.15 * np.exp(np.log(losses.min()) + 3 * _spread(searched.losses)))
    axes.set_ylim(low / 1.08, high * 1.08)
    loss_ticks(axes)
    scale(axes, dimension)


def _x(dimension: Dimension, value: JsonValue) -> float:
    """Where a value stands on the axis."""
    return float(x_of(dimension, np.array([dimension.place(value)]))[0])


def mark_lost(axes: Axes, x: NDArray[np.float64] | NDArray[np.int64], losses: NDArray[np.float64]) -> None:
    """Runs without a loss: they stand where the surface counts them."""
    if len(x):
        name = f"diverged or failed (drawn at {LOST:g} × guessing)"
        axes.scatter(x, losses, s=26, marker="^", color=RED, lw=0, zorder=3, label=name)


def _spread(losses: NDArray[np.float64]) -> float:
    return max(float(np.median(losses) - losses.min()), 0.1)


def _profile(axes: Axes, profile: Profile, dimension: Dimension, name: str) -> None:
    best = min(part.loss for part in profile.parts)
    for number, part in enumerate(profile.parts):
        ends = np.array([part.start, part.end]) + (np.array([-0.4, 0.4]) if dimension.choices else 0)
        x = ends if dimension.choices else x_of(dimension, ends)
        low, high = np.exp(best + np.array([part.low, part.high]))
        middle = np.exp(best + part.middle) * np.ones(2)
        axes.plot(x, middle, color=INK, lw=1.4, solid_capstyle="butt", label=None if number else name)
        axes.fill_between(x, low, high, color=GREY, alpha=0.3, lw=0, label=None if number else "its 95 % interval")
