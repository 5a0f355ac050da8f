"""Pictures of a tuning: what each key does, what each run brought, and the race on fresh seeds."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from hpcli.analysis.profile import Profile
from hpcli.config.space import Dimension
from hpcli.plots.dimension import loss_ticks, scale, x_of
from hpcli.plots.style import BLUE, GREEN, GREY, INK, ORANGE, RED, legend_below, styled
from hpcli.plots.tune_maps import maps
from hpcli.results.tune import TuneResult
from hpcli.results.tune_trials import LOST


def figures(result: TuneResult) -> dict[str, Figure]:
    """All pictures of a result, by the names that a run folder gives their files."""
    if not result.searched.over:
        return {}
    found = {"tune": keys(result), "tune_progress": progress(result)}
    if len(result.space) > 1 and result.profiles:
        found["tune_maps"] = maps(result)
    return found


@styled
def keys(result: TuneResult) -> Figure:
    """For each key the loss of every run against it, and the lowest loss that the other keys allow, with its band."""
    count = len(result.space)
    columns = min(count, 3)
    rows = -(-count // columns)
    figure = Figure(figsize=(3.4 * columns + 0.6, 3.3 * rows + 0.9))
    grid = figure.subplots(rows, columns, squeeze=False, sharey=True)
    for place, axes in enumerate(grid.flat):
        if place >= count:
            axes.set_visible(False)
            continue
        _key(axes, result, place)
    for row in grid:
        row[0].set_ylabel("validation loss (nats)")
    figure.suptitle(f"What {_short_runs(result)} tell of each key", x=0.01, ha="left", fontsize=11.5, fontweight="bold")
    legend_below(figure)
    return figure


def _key(axes: Axes, result: TuneResult, place: int) -> None:
    dimension, searched = result.space[place], result.searched
    points, losses = searched.points[:, place], np.exp(searched.losses)
    if result.profiles:
        _profile(axes, result.profiles[place], dimension)
    shades = [to_rgba(BLUE, age) for age in np.linspace(0.25, 1, len(points))]
    x, lost = x_of(dimension, points), searched.lost
    axes.scatter(x, np.where(lost, np.nan, losses), s=20, c=shades, lw=0, zorder=3)
    if not lost.all():
        axes.scatter([], [], s=20, color=BLUE, lw=0, label="a run (later ones darker)")
    _mark_lost(axes, x[lost], losses[lost])
    fresh = [trial for trial in result.fresh if trial.has_ended]
    if fresh:
        at = np.array([dimension.place(searched.values(trial.value)[dimension.key]) for trial in fresh])
        axes.scatter(x_of(dimension, at), [np.exp(searched.log_loss(trial)) for trial in fresh], s=30, marker="x",
                     color=ORANGE, lw=1.4, zorder=4, label="on fresh seeds")  # fmt: skip
    present = x_of(dimension, np.array([dimension.place(result.present[dimension.key])]))[0]
    axes.axvline(present, color=INK, lw=1.2, ls=":", label="present")
    if result.choice is not None:
        chosen = x_of(dimension, np.array([dimension.place(result.choice[dimension.key])]))[0]
        axes.axvline(chosen, color=GREEN, lw=1.6, label="to use")
    tried = np.append(losses, [np.exp(searched.log_loss(trial)) for trial in fresh])
    low, high = tried.min(), min(losses.max(), 1.15 * np.exp(np.log(losses.min()) + 3 * _spread(searched.losses)))
    axes.set_ylim(low / 1.08, high * 1.08)
    loss_ticks(axes)
    scale(axes, dimension)


def _mark_lost(axes: Axes, x: NDArray[np.float64] | NDArray[np.int64], losses: NDArray[np.float64]) -> None:
    """Runs without a loss: they stand where the search counts them."""
    if len(x):
        name = f"diverged or failed (drawn at {LOST:g} × guessing)"
        axes.scatter(x, losses, s=26, marker="^", color=RED, lw=0, zorder=3, label=name)


def _spread(losses: NDArray[np.float64]) -> float:
    return max(float(np.median(losses) - losses.min()), 0.1)


def _profile(axes: Axes, profile: Profile, dimension: Dimension) -> None:
    best = min(part.loss for part in profile.parts)
    for number, part in enumerate(profile.parts):
        ends = np.array([part.start, part.end]) + (np.array([-0.4, 0.4]) if dimension.choices else 0)
        x = ends if dimension.choices else x_of(dimension, ends)
        name = None if number else "lowest that the others allow, 95 %"
        low, high = np.exp(best + np.array([part.low, part.high]))
        axes.fill_between(x, low, high, color=GREY, alpha=0.3, lw=0, label=name)
        axes.plot(x, np.exp(best + part.middle) * np.ones(2), color=INK, lw=1.4, solid_capstyle="butt")


@styled
def progress(result: TuneResult) -> Figure:
    """The loss of each run in turn and the lowest so far; beside it the verdict on fresh seeds."""
    pairs, count = np.exp(result.pairs), sum(trial.has_ended for trial in result.trials)
    figure = Figure(figsize=(8.4 if len(pairs) else 6.2, 3.9))
    axes = figure.subplots(1, 2, width_ratios=(2.2, 1), sharey=True) if len(pairs) else [figure.subplots()]
    left, order = axes[0], np.arange(1, count + 1)
    losses, lost = np.exp(result.searched.losses[:count]), result.searched.lost[:count]
    if not lost.all():
        left.plot(order, np.minimum.accumulate(losses), color=GREEN, drawstyle="steps-post", label="lowest so far")
        left.scatter(order[~lost], losses[~lost], s=22, color=BLUE, lw=0, zorder=3, label="a run of the search")
    _mark_lost(left, order[lost], losses[lost])
    left.set(xlabel="run", ylabel="validation loss (nats)", title=f"{_short_runs(result)}, in their order")
    left.xaxis.set_major_locator(MaxNLocator(8, integer=True))
    loss_ticks(left)
    if len(pairs):
        _race(axes[1], pairs)
    legend_below(figure)
    return figure


def _race(axes: Axes, pairs: NDArray[np.float64]) -> None:
    axes.set_xticks([0, 1], ["present", "winner"])
    axes.set(xlim=(-0.5, 1.5), title="Fresh seeds")
    for number, pair in enumerate(pairs):
        axes.plot([0, 1], pair, color=ORANGE, marker="x", lw=1.2, label=None if number else "a pair on a fresh seed")


def _short_runs(result: TuneResult) -> str:
    runs = len(result.searched.over)
    return f"{runs} short run{'s' * (runs != 1)}"
