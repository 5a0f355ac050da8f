"""Pictures of a sweep: what can be told apart, how the losses went, and the map of two keys."""

from __future__ import annotations

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter
from numpy.typing import NDArray

from hpcli.analysis.verdict import Comparison
from hpcli.config.varying import JOINED, written
from hpcli.plots.style import BLUE, GREEN, GREY, ORANGE, RED, log_if_wide, plain, styled
from hpcli.results.horizon import cycles
from hpcli.results.sweep import SweepResult
from hpcli.states import Judgement

COLORS = {
    Judgement.BEST: GREEN,
    Judgement.EQUAL: GREEN,
    Judgement.UNDECIDED: BLUE,
    Judgement.WORSE: RED,
}
VISIBLE = 0.03
"""Of the axis: a band that is narrower needs no name, which would stand over the values."""
FAR = 2.5
"""A value so many times further off than those that may be the best is named at the edge of the picture."""

Array = NDArray[np.float64]


def figures(result: SweepResult) -> dict[str, Figure]:
    """All pictures of a sweep, by name: `sweep`; of two keys also `sweep_map`; `sweep_curves`.

    One epoch is no curve: it is drawn only where nothing else can be.
    """
    found = {}
    if result.verdict is not None and result.verdict.best is not None:
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
    figure = Figure(figsize=(7.6, 4.4))
    axes = figure.subplots()
    x, order = _places(result)
    compared = result.verdict.comparisons
    paired = _paired(result)
    top, bottom = _limits(result, paired)
    if result.margin:
        axes.axhspan(-result.margin, result.margin, color=GREEN, alpha=0.13, linewidth=0, zorder=0)
    if result.margin and result.margin > VISIBLE * (top - bottom):
        axes.annotate(
            "too small to matter", (1, result.margin), xycoords=("axes fraction", "data"), xytext=(-4, 2),
            textcoords="offset points", ha="right", fontsize=8, color=GREEN,
        )  # fmt: skip
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
    axes.set_xticks(x[order], [_tick(result, index) for index in order])
    for tick, index in zip(axes.get_xticklabels(), order, strict=True):
        if result.choice is not None and index == result.choice.index:
            tick.set(color=GREEN, weight="bold")
    axes.grid(visible=False, axis="x")
    return figure


@styled
def curves(result: SweepResult) -> Figure:
    """Validation loss by epoch: a colour a value, its seeds a band from the lowest to the highest."""
    figure = Figure(figsize=(7.6, 4.4))
    axes = figure.subplots()
    _, order = _places(result)
    shades = colormaps["viridis"](np.linspace(0.02, 0.9, len(order)))
    epoch = np.arange(result.curves.shape[2])
    for shade, index in zip(shades, order, strict=True):
        losses = result.curves[index]
        known = np.isfinite(losses).any(0)
        if not known.any():
            continue
        shown = losses[:, known]
        axes.fill_between(epoch[known], np.nanmin(shown, 0), np.nanmax(shown, 0), color=shade, alpha=0.13, linewidth=0)
        name = plain(result.settings[index].name)
        axes.plot(epoch[known], np.nanmean(shown, 0), "o-", color=shade, markersize=4, label=name)
    log_if_wide(axes, result.curves.ravel())
    axes.set(
        xlabel="epoch (from 0)",
        ylabel="validation loss (nats)",
        title=f"{_short(result)}: mean of the seeds, and their range",
    )
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(title=_short(result), loc="upper left", bbox_to_anchor=(1.01, 1), fontsize=9 if len(order) < 12 else 7)
    return figure


@styled
def heat_map(result: SweepResult) -> Figure:
    """Mean validation loss of every pair of two keys' values; framed: those that may be the best."""
    assert result.verdict is not None
    names = [[written(value) for value in setting.values] for setting in result.settings]
    rows, columns = (list(dict.fromkeys(name[part] for name in names)) for part in (0, 1))
    means, states = np.full((len(rows), len(columns)), np.nan), {}
    figure = Figure(figsize=(max(5.6, 2.2 + 1.15 * len(columns)), 1.6 + 0.62 * len(rows)))
    axes = figure.subplots()
    for name, each in zip(names, result.verdict.comparisons, strict=True):
        row, column = rows.index(name[0]), columns.index(name[1])
        means[row, column] = np.nan if each.mean is None else each.mean
        states[row, column] = str(each.verdict)
        if each.candidate:
            axes.add_patch(
                Rectangle((column - 0.46, row - 0.46), 0.92, 0.92, fill=False, color="white", linewidth=2.2, zorder=3)
            )
    finite = means[np.isfinite(means)]
    norm = LogNorm(finite.min(), finite.max()) if finite.max() > 3 * finite.min() > 0 else None
    picture = axes.imshow(means, cmap="viridis_r", norm=norm, aspect="auto")
    dark = np.nan_to_num(np.asarray(picture.norm(means), float)) > 0.4
    for (row, column), mean in np.ndenumerate(means):
        text = f"{mean:.3g}" if np.isfinite(mean) else states[row, column]
        color = "white" if dark[row, column] else "black"
        axes.text(column, row, text, ha="center", va="center", color=color, fontsize=9)
    axes.set_xticks(range(len(columns)), list(map(plain, columns)))
    axes.set_yticks(range(len(rows)), list(map(plain, rows)))
    axes.set(xlabel=result.keys[1], ylabel=result.keys[0], title="Validation loss (nats); framed: may be the best")
    axes.grid(visible=False)
    short = FuncFormatter(lambda loss, _: f"{loss:.2g}")
    bar = figure.colorbar(picture, ax=axes, label="mean over seeds", format=short)
    bar.ax.yaxis.set_minor_formatter(NullFormatter() if norm is None else short)
    return figure


def _draw_value(axes: Axes, x: float, each: Comparison, paired: Array, top: float, *, aside: float) -> None:
    color = ORANGE if each.unstable else COLORS.get(each.verdict, GREY)
    word = f"{each.verdict}, unstable" if each.unstable else str(each.verdict)
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
    return (places if logarithmic else np.argsort(order).astype(float)), order


def _step(x: Array) -> float:
    return float(np.diff(np.sort(x)).min()) if len(x) > 1 else 1.0


def _tick(result: SweepResult, index: int) -> str:
    name = "\n".join(plain(written(value)) for value in result.settings[index].values)
    seconds = float(np.nanmean(result.seconds[index])) if _costs(result) else 0.0
    chosen = "\nuse this" if result.choice is not None and result.choice.index == index else ""
    return f"{name}\n{seconds:.2g} s{chosen}" if seconds else f"{name}{chosen}"


def _costs(result: SweepResult) -> bool:
    return result.costs_differ and bool(np.isfinite(result.seconds).any())


def _short(result: SweepResult) -> str:
    return JOINED.join(key.rpartition(".")[2] for key in result.keys)
