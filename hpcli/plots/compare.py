"""The picture of runs compared: their curves, and beside them what each setting came to."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from hpcli.plots.style import GREY, MARKERS, RED, count_epochs, loss_axis, shades, shortened, styled

if TYPE_CHECKING:
    from hpcli.runs.comparison import Comparison, Trained

MOST_COLOURED = 20
"""Settings with a colour and a name of their own; the rest is grey."""
LETTERS, LINES = 36, 3
"""Of a name: in a line, and lines."""
DASHES = ("-", "--", "-.", ":")


@dataclass(frozen=True)
class _Line:
    """A setting's place in the picture, or that of a run which is not judged."""

    name: str
    runs: tuple[Trained, ...]
    colour: str
    marker: str
    dash: str


@styled
def compare(compared: Comparison) -> Figure:
    """Validation losses by epoch, a colour a setting, and the loss that each run is judged by, mean ± standard error.

    Args:
        compared: with two training runs at least.
    """
    lines, rest = _lines(compared)
    rows = len(lines) + bool(rest)
    figure = Figure(figsize=(11.0, max(4.4, 1.3 + 0.27 * rows)))
    left, right = figure.subplots(1, 2, width_ratios=(3, 2))
    for run in rest:
        left.plot(1 + run.epochs["epoch"], run.epochs["valid_loss"], color=GREY, linewidth=0.8, alpha=0.6, zorder=1)
    for line in lines:
        _curves(left, line)
    every = [run.epochs["valid_loss"] for run in compared.trained]
    loss_axis(left, np.concatenate(every) if every else [], compared.chance)
    count_epochs(left, max((len(each) for each in every), default=1))
    left.set(ylabel="validation loss (nats)", title="Validation loss: thin a run, thick the mean of its setting")
    _results(right, lines, rest)
    right.set_title("After the last epoch")
    return figure


def _lines(compared: Comparison) -> tuple[list[_Line], list[Trained]]:
    """What has a row of its own, the lowest mean first, and the runs of all other settings."""
    named, beyond = compared.settings[:MOST_COLOURED], compared.settings[MOST_COLOURED:]
    lines = []
    for place, (each, colour) in enumerate(zip(named, shades(len(named)), strict=True)):
        count = f" ({len(each.runs)} runs)" if len(each.runs) > 1 else ""
        whole = shortened(each.name if len(compared.settings) > 1 else "all runs", LINES * LETTERS) + count
        name = textwrap.fill(whole, LETTERS)
        marker = MARKERS[place % len(MARKERS)]
        lines.append(_Line(name, each.runs, colour, marker, DASHES[place // len(MARKERS) % len(DASHES)]))
    apart = [run for run in compared.trained if run.why_not]
    shown, hidden = apart[: max(MOST_COLOURED - len(named), 3)], apart[max(MOST_COLOURED - len(named), 3) :]
    lines += [
        _Line(f"{shortened(run.glance.name, LETTERS - 10)}: {run.why_not}", (run,), GREY, "x", ":") for run in shown
    ]
    return lines, [*(run for each in beyond for run in each.runs), *hidden]


def _curves(axes: Axes, line: _Line) -> None:
    """Each run's curve thin, the mean of several thick."""
    losses = [run.epochs["valid_loss"] for run in line.runs]
    length = min(map(len, losses))
    if len(losses) > 1:
        for each in losses:
            axes.plot(1 + np.arange(len(each)), each, color=line.colour, linewidth=0.7, alpha=0.45)
    if length:
        mean = np.mean([each[:length] for each in losses], axis=0)
        every = max(1, length // 12)
        axes.plot(
            1 + np.arange(length), mean, line.dash, marker=line.marker, markersize=4.5, color=line.colour,
            markevery=every,
        )  # fmt: skip


def _results(axes: Axes, lines: list[_Line], rest: list[Trained]) -> None:
    """A row a setting: a dot a run, the mean and its standard error. The names are the legend of both halves."""
    for place, line in enumerate(lines):
        losses = np.array([run.loss for run in line.runs])
        finite = losses[np.isfinite(losses)]
        if finite.size < losses.size:
            axes.text(
                0.5, place, str(line.runs[int(np.argmin(np.isfinite(losses)))].glance.status), color=RED, fontsize=8,
                va="center", ha="center", transform=axes.get_yaxis_transform(),
            )  # fmt: skip
            continue
        axes.plot(finite, np.full(finite.size, place), "o", color=line.colour, alpha=0.4, markersize=4)
        mean = float(finite.mean())
        if finite.size > 1:
            error = float(finite.std(ddof=1)) / np.sqrt(finite.size)
            axes.plot([mean - error, mean + error], [place, place], color=line.colour, linewidth=2.4)
        edge = "white" if line.marker in MARKERS else line.colour  # a cross has nothing but its edge
        axes.plot(mean, place, line.marker, color=line.colour, markersize=7, markeredgecolor=edge)
    names = [line.name for line in lines]
    if rest:
        others = np.array([run.loss for run in rest])
        axes.plot(others, np.full(others.size, len(lines)), "|", color=GREY, markersize=8)
        names.append(f"{len(rest)} more runs")
    axes.set_yticks(range(len(names)), names, fontsize=8.5 if len(names) < 16 else 7.5)
    for tick, line in zip(axes.get_yticklabels(), lines, strict=False):
        tick.set_color(line.colour if line.colour != GREY else "#55606b")
    axes.set(ylim=(len(names) - 0.4, -0.6), xlabel="final loss, mean ± standard error")
    shown = np.array([run.loss for run in (*(run for line in lines for run in line.runs), *rest)])
    shown = shown[np.isfinite(shown) & (shown > 0)]
    if shown.size and shown.max() > 10 * shown.min():
        axes.set_xscale("log")
    else:
        axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.grid(visible=True, axis="both")
