"""The pictures of docs/papers.md, in one style, from the tables that are kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator
from papers_tables import Array, Curves, Line, Range, Sweep

from hpcli.plots.style import BLUE, GREY, MARKERS, ORANGE, legend_below, plain_decades, shades, styled

FAINT = 0.35
SIZE = (6.4, 3.6)


@styled
def ranges(tests: Mapping[str, Range], chance: float, *, is_linear: bool = False) -> Figure:
    """Smoothed loss against learning rate: a colour a value, every seed faint, the median strong."""
    figure = Figure(figsize=SIZE)
    axes = figure.subplots()
    for colour, (name, test) in zip(shades(len(tests)), tests.items(), strict=True):
        for seed in test.smoothed:
            axes.plot(test.lr, seed, color=colour, linewidth=0.7, alpha=FAINT)
        axes.plot(test.lr, np.median(test.smoothed, axis=0), color=colour, label=name)
    axes.set(xlabel="learning rate", ylabel="training loss (nats)")
    axes.set_ylim(*_limits([test.smoothed for test in tests.values()], 1.6 * chance))
    _chance(axes, chance)
    if not is_linear:
        axes.set_xscale("log")
        plain_decades(axes)
    legend_below(figure)
    return figure


@styled
def seeds(sweep: Sweep, xlabel: str) -> Figure:
    """Loss of every run: a value a place, a faint line a seed, a bar a mean."""
    figure = Figure(figsize=SIZE)
    axes = figure.subplots()
    _seeds(axes, np.arange(len(sweep.values)), sweep.losses)
    axes.set_xticks(range(len(sweep.values)), [str(each) for each in sweep.values])
    axes.set(xlabel=xlabel, ylabel="validation loss (nats)")
    legend_below(figure)
    return figure


def _seeds(axes: Axes, x: Array, losses: Array) -> None:
    for number, row in enumerate(losses.T):
        name = "one seed" if number == 0 else None
        axes.plot(x, row, "o-", color=GREY, markersize=4, linewidth=0.8, label=name)
    axes.plot(x, losses.mean(axis=1), "_", color=BLUE, markersize=26, markeredgewidth=3, label="mean of the seeds")


@styled
def curves(curves: Mapping[str, Curves]) -> Figure:
    """Validation accuracy against steps: a colour a setting, every seed faint, the mean strong."""
    figure = Figure(figsize=SIZE)
    axes = figure.subplots()
    for number, (colour, (name, each)) in enumerate(zip(shades(len(curves)), curves.items(), strict=True)):
        for seed in each.accuracy:
            axes.plot(each.steps, 100 * seed, color=colour, linewidth=0.7, alpha=FAINT)
        mean, marker = 100 * each.accuracy.mean(axis=0), MARKERS[number % len(MARKERS)]
        axes.plot(each.steps, mean, color=colour, marker=marker, markersize=4, label=name)
    axes.set(xlabel="steps", ylabel="validation accuracy (%)")
    legend_below(figure)
    return figure


@styled
def lines(found: Sequence[Line], chance: float) -> Figure:
    """Training loss between two networks, BatchNorm's statistics averaged and measured anew, a line a pair."""
    figure = Figure(figsize=SIZE)
    axes = figure.subplots()
    for number, line in enumerate(found):
        for colour, style, losses, name in (
            (ORANGE, "--", line.averaged, "BatchNorm's statistics averaged"),
            (BLUE, "-", line.anew, "measured anew"),
        ):
            axes.plot(line.alpha, losses, style, color=colour, linewidth=1.3, label=name if number == 0 else None)
    for end in (0.0, 1.0):
        axes.axvline(end, color=GREY, linewidth=0.9, zorder=0)
    beyond = [line.alpha[np.isnan(line.averaged)] for line in found]
    below, above = (
        np.concatenate([each[each < 0] for each in beyond]),
        np.concatenate([each[each > 1] for each in beyond]),
    )
    for low, high in ((found[0].alpha[0], below.max(initial=-np.inf)), (above.min(initial=np.inf), found[0].alpha[-1])):
        if np.isfinite([low, high]).all():
            label = "averaged: not a number in one at least" if low < 0 else None
            axes.axvspan(low, high, color=ORANGE, alpha=0.1, linewidth=0, zorder=0, label=label)
    axes.set(xlabel="α, from the first network to the second", ylabel="training loss (nats)")
    axes.set_ylim(*_limits([each for line in found for each in (line.anew, line.averaged)], 2 * chance))
    _chance(axes, chance)
    legend_below(figure)
    return figure


@styled
def against(named: Mapping[str, tuple[Array, Array]], xlabel: str, *, marks_lowest: bool = True) -> Figure:
    """Losses [k, S] against a number, such as a learning rate: a colour a way, its lowest mean marked."""
    figure = Figure(figsize=SIZE)
    axes = figure.subplots()
    for number, (colour, (name, (x, losses))) in enumerate(zip(shades(len(named)), named.items(), strict=True)):
        mean = losses.mean(axis=1)
        axes.plot(np.repeat(x, losses.shape[1]), losses.ravel(), ".", color=colour, alpha=FAINT, markersize=5)
        axes.plot(x, mean, color=colour, marker=MARKERS[number], markersize=5, label=name)
        best = int(np.argmin(mean))
        if marks_lowest:
            axes.plot(x[best], mean[best], "o", color=colour, markersize=12, markerfacecolor="none")
    axes.set(xscale="log", xlabel=xlabel, ylabel="validation loss (nats)")
    if not marks_lowest:
        axes.set_xticks(np.unique(np.concatenate([x for x, _ in named.values()])), minor=False)
        axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
    legend_below(figure)
    return figure


def _limits(losses: Sequence[Array], highest: float) -> tuple[float, float]:
    """From the lowest of all losses to the highest, or so high."""
    low, high = (float(each([each(one[np.isfinite(one)]) for one in losses])) for each in (np.min, np.max))
    room = 0.05 * (min(high, highest) - low)
    return low - room, min(high, highest) + room


def _chance(axes: Axes, loss: float) -> None:
    if not axes.get_ylim()[0] < loss < axes.get_ylim()[1]:
        return
    axes.axhline(loss, color=GREY, linewidth=1, linestyle="--", zorder=1)
    axes.annotate(
        "chance", (1, loss), xycoords=axes.get_yaxis_transform(), xytext=(-3, 3), textcoords="offset points",
        ha="right", color="#6b747d", fontsize=8.5,
    )  # fmt: skip
