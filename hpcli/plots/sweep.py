"""Pictures of a sweep: what can be told apart, and how the losses went."""

from __future__ import annotations

import textwrap

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from hpcli.analysis.verdict import Comparison
from hpcli.config.varying import JOINED, written
from hpcli.plots.style import (
    BLUE,
    GREEN,
    GREY,
    MARKERS,
    ORANGE,
    RED,
    count_epochs,
    legend_below,
    loss_axis,
    shades,
    shortened,
    styled,
)
from hpcli.plots.sweep_map import heat_map
from hpcli.plots.sweep_points import of_points
from hpcli.results.horizon import cycles
from hpcli.results.sweep import SweepResult
from hpcli.states import Judgement

COLORS = {
    Judgement.BEST: GREEN,
    Judgement.EQUAL: GREEN,
    Judgement.UNDECIDED: BLUE,
    Judgement.WORSE: RED,
}
PASSING = ("sweep", "sweep_map", "sweep_curves", "sweep_keys", "sweep_maps")
"""Which of them there are goes with the trials that there are."""
VISIBLE = 0.03
"""Of the axis: a band that is narrower is not seen, and not named."""
EVEN = 0.4
"""Of the mean distance: where two values of a logarithmic key are nearer, all stand evenly apart instead."""
ROOM = 0.75
"""Inches that a value needs for its words."""
FAR = 2.5
"""A value so many times further off than those that may be the best is named at the edge of the picture."""

Array = NDArray[np.float64]


def figures(result: SweepResult) -> dict[str, Figure]:
    """All pictures of a sweep, by name: `sweep`; of two keys also `sweep_map`; `sweep_curves`.

    One value is compared with nothing, one epoch is no curve: it is drawn only where nothing else can be.
    """
    if result.fitted is not None:
        return of_points(result.fitted, cycles(result.settings))
    found = {}
    if result.verdict is not None and result.verdict.best is not None and len(result.settings) > 1:
        found["sweep"] = differences(result)
        if len(result.keys) == 2:
            found["sweep_map"] = heat_map(result)
    if np.isfinite(result.curves).any() and (result.curves.shape[2] > 1 or not found):
        found["sweep_curves"] = curves(result)
    return found


@styled
def differences(result: SweepResult) -> Figure:
    """Each value's loss against the best one's, paired by seed: a dot a seed, the mean, its interval."""
    assert result.verdict is not None
    x, order = _places(result)
    figure = Figure(figsize=(min(max(7.6, 1.2 + ROOM * len(x)), 40.0), 4.4))
    axes = figure.subplots()
    compared = result.verdict.comparisons
    paired = _paired(result)
    top, bottom = _limits(result, paired)
    if result.margin:
        seen = result.margin > VISIBLE * (top - bottom)
        name = f"too small to matter: below {result.margin:.2g}" if seen else None
        axes.axhspan(-result.margin, result.margin, color=GREEN, alpha=0.15, linewidth=0, zorder=0, label=name)
    axes.axhline(0, color=GREY, linewidth=0.9, zorder=1)
    for index, each in enumerate(compared):
        _draw_value(axes, float(x[index]), each, paired[index], top, aside=0.05 * _step(x))
    num_seeds = result.losses.shape[1]
    runs = f"{num_seeds} seed{'s' * (num_seeds > 1)} of {cycles(result.settings)}"
    axes.set(
        ylabel="validation loss above the best value's (nats)",
        title=f"{_short(result)}: what {runs} can tell apart",
        ylim=(bottom, top + 0.12 * (top - bottom)),
        xlabel=f"{JOINED.join(result.keys)}{', and seconds a run' if _costs(result) else ''}",
        xlim=(x.min() - 0.5 * _step(x), x.max() + 0.5 * _step(x)),
    )
    letters = max(6, int(11 * (figure.get_figwidth() - 1.2) / max(len(x), 2)))
    axes.set_xticks(x[order], [_tick(result, index, letters) for index in order])
    for tick, index in zip(axes.get_xticklabels(), order, strict=True):
        if result.choice is not None and index == result.choice.index:
            tick.set(color=GREEN, weight="bold")
    axes.grid(visible=False, axis="x")
    axes.plot([], [], "o", color=GREY, alpha=0.7, markersize=4.5, label="a seed")
    axes.plot([], [], "D-", color=GREY, markersize=7, label="mean, with its interval")
    legend_below(figure)
    return figure


@styled
def curves(result: SweepResult) -> Figure:
    """Validation loss by epochs trained: a colour a value, its seeds a band from the lowest to the highest."""
    figure = Figure(figsize=(7.6, 4.4))
    axes = figure.subplots()
    _, order = _places(result)
    epoch, means = 1 + np.arange(result.curves.shape[2]), []
    for place, (shade, index) in enumerate(zip(shades(len(order)), order, strict=True)):
        losses = result.curves[index]
        known = np.isfinite(losses).any(0)
        if not known.any():
            continue
        shown, marker = losses[:, known], MARKERS[place % len(MARKERS)]
        axes.fill_between(epoch[known], np.nanmin(shown, 0), np.nanmax(shown, 0), color=shade, alpha=0.13, linewidth=0)
        name = shortened(result.settings[index].name, 30)
        means.append(np.nanmean(shown, 0))
        axes.plot(epoch[known], means[-1], marker=marker, color=shade, markersize=5, label=name)
    loss_axis(axes, np.concatenate(means), result.data.chance_loss())
    axes.set(ylabel="validation loss (nats)", title=f"{_short(result)}: mean of the seeds, and their range")
    count_epochs(axes, int(epoch[-1]))
    axes.legend(
        title=_short(result),
        alignment="left",
        loc="upper left",
        bbox_to_anchor=(1.01, 1),
        fontsize=9 if len(order) < 12 else 7,
    )
    return figure


def _draw_value(axes: Axes, x: float, each: Comparison, paired: Array, top: float, *, aside: float) -> None:
    color = ORANGE if each.unstable else COLORS.get(each.verdict, GREY)
    is_behind = each.verdict == Judgement.UNDECIDED and not each.candidate
    judged = "not the best" if is_behind else str(each.verdict)
    word = f"{judged},\nunstable" if each.unstable else judged
    if each.difference is None:
        axes.annotate(
            word, (x, top), xytext=(0, 8), textcoords="offset points", ha="center", va="bottom", color=RED,
            weight="bold", fontsize=9,
        )  # fmt: skip
        axes.plot(x, top, "x", color=RED, markersize=8, markeredgewidth=2)
        return
    if each.difference > top:
        axes.annotate(
            f"{word}\n+{each.difference:.2g}", (x, top), xytext=(0, -8), textcoords="offset points",
            ha="center", va="top", color=color, weight="bold", fontsize=9,
        )  # fmt: skip
        axes.plot(x, top, "^", color=color, markersize=8)
        return
    axes.plot(np.full(len(paired), x - aside), paired, "o", color=color, alpha=0.4, markersize=4.5, markeredgewidth=0)
    if each.low is not None and each.high is not None:
        axes.plot([x, x], [each.low, each.high], color=color, linewidth=2.2, solid_capstyle="butt")
    axes.plot(x, each.difference, "D", color=color, markersize=7, markeredgecolor="white", zorder=4)
    highest = max(each.high or each.difference, float(paired.max()))
    axes.annotate(
        word, (x, highest), xytext=(0, 6), textcoords="offset points", ha="center", color=color, fontsize=9
    )  # fmt: skip


def _paired(result: SweepResult) -> Array:
    """[k, S]: every run's loss less that of the best value with the same seed."""
    assert result.verdict is not None
    names = [setting.name for setting in result.settings]
    paired: Array = result.losses - result.losses[names.index(str(result.verdict.best))]
    return paired


def _limits(result: SweepResult, paired: Array) -> tuple[float, float]:
    """The highest and lowest difference that is shown."""
    assert result.verdict is not None
    compared = result.verdict.comparisons
    near = [index for index, each in enumerate(compared) if each.candidate]
    reach = [result.margin or 0.0, *(abs(compared[index].high or 0.0) for index in near), np.nanmax(paired[near])]
    if len(near) == 1:  # nothing else may be the best: the nearest that is not
        reach.append(min((each.high or each.difference for each in compared if each.difference), default=0.0))
    furthest = max(float(each) for each in reach)
    shown = [(index, each) for index, each in enumerate(compared) if each.difference is not None]
    within = [index for index, each in shown if (each.high or each.difference or 0) <= FAR * furthest]
    top = max([furthest, *(float(np.nanmax(paired[index])) for index in within if np.isfinite(paired[index]).any())])
    top = max([top, *(compared[index].high or 0.0 for index in within)])
    lowest = min([-(result.margin or 0.0), -0.05 * top, *(compared[index].low or 0.0 for index in within)])
    return 1.05 * top, 1.1 * min(lowest, float(np.nanmin(paired[within])))


def _places(result: SweepResult) -> tuple[Array, NDArray[np.int64]]:
    """[k] where each value stands on the axis, and the values in that order; evenly apart unless logarithmic."""
    known, logarithmic = result.scale
    if known is None:
        return np.arange(len(result.settings), dtype=float), np.arange(len(result.settings))
    places = np.array(known)
    order = np.argsort(places, kind="stable")
    crowded = _step(places) < EVEN * np.ptp(places) / max(len(places) - 1, 1)
    return (places if logarithmic and not crowded else np.argsort(order).astype(float)), order


def _step(x: Array) -> float:
    return float(np.diff(np.sort(x)).min()) if len(x) > 1 else 1.0


def _tick(result: SweepResult, index: int, letters: int) -> str:
    names = [shortened(written(value), 4 * letters) for value in result.settings[index].values]
    name = "\n".join(textwrap.fill(each, letters) for each in names)
    seconds = float(np.nanmean(result.seconds[index])) if _costs(result) else 0.0
    chosen = "\nuse this" if result.choice is not None and result.choice.index == index else ""
    return f"{name}\n{seconds:.2g} s{chosen}" if seconds else f"{name}{chosen}"


def _costs(result: SweepResult) -> bool:
    return result.costs_differ and bool(np.isfinite(result.seconds).any())


def _short(result: SweepResult) -> str:
    """The keys' last words; of one that is called `name`, all of it."""
    words = ((key, key.rpartition(".")[2]) for key in result.keys)
    return JOINED.join(key if word == "name" else word for key, word in words)
