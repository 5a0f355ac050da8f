"""Pictures of a tuning: what each key does, what each run brought, and the race on fresh seeds."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from hpcli.plots.dimension import loss_ticks
from hpcli.plots.key_maps import maps
from hpcli.plots.keys import keys, mark_lost
from hpcli.plots.style import BLUE, GREEN, ORANGE, legend_below, styled
from hpcli.results.tune import TuneResult

PASSING = ("tune_maps",)
"""There where enough is known for them."""


def figures(result: TuneResult) -> dict[str, Figure]:
    """All pictures of a result, by the names that a run folder gives their files."""
    if not result.searched.over:
        return {}
    title = f"What {_short_runs(result)} tell of each key"
    found = {"tune": keys(result.fitted, title, in_order=True), "tune_progress": progress(result)}
    if len(result.space) > 1 and result.profiles:
        found["tune_maps"] = maps(result.fitted)
    return found


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
    mark_lost(left, order[lost], losses[lost])
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
