"""Pictures of what lies between checkpoints: the loss along a line, and on the plane through three."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.ticker import MaxNLocator, PercentFormatter

from hpcli.plots.style import BLUE, GREY, ORANGE, RED, log_if_wide, styled
from hpcli.recording.rows import Columns
from hpcli.results.interpolate import InterpolateResult
from hpcli.results.plane import PlaneResult
from hpcli.states import BatchNorm, Connection, RunStatus

COLOURS = {"train": BLUE, "valid": ORANGE}
NAMES = {"train": "training", "valid": "validation"}
STYLES = {BatchNorm.RECOMPUTE: "-", BatchNorm.INTERPOLATE: "--"}
HALO = [withStroke(linewidth=3, foreground="white")]
BATCHNORM = {BatchNorm.RECOMPUTE: "BatchNorm measured anew", BatchNorm.INTERPOLATE: "BatchNorm averaged"}


def figures(result: InterpolateResult) -> dict[str, Figure]:
    """The pictures of a line that is complete, `interpolation`, and of a plane that is, `plane`."""
    found = {"interpolation": interpolation(result)} if result.is_complete else {}
    has_plane = result.plane is not None and result.status == RunStatus.FINISHED
    return found | {"plane": plane(result.plane)} if has_plane and result.plane else found


def interpolation(result: InterpolateResult) -> Figure:
    """Loss above accuracy along the line, training and validation, solid and dashed for the two BatchNorm modes."""
    return interpolations({"": result})


@styled
def interpolations(results: Mapping[str, InterpolateResult]) -> Figure:
    """Several lines side by side on one loss axis, each under its name."""
    count = len(results)
    figure = Figure(figsize=(7.6, 6.0) if count == 1 else (4.1 * count, 6.2))
    grid = figure.subplots(2, count, sharex="col", sharey="row", height_ratios=(3, 2), squeeze=False)
    for (name, result), (top, bottom) in zip(results.items(), grid.T, strict=True):
        _draw_curves(top, result.curves, "loss")
        _draw_curves(bottom, result.curves, "accuracy")
        for axes in (top, bottom):
            axes.margins(x=0)
            axes.xaxis.set_major_locator(MaxNLocator(6))
            _mark_ends(axes, say=axes is top)
            _shade_lost(axes, result, say=axes is top)
        top.set_title(f"{name}: {_verdict(result).lower()}" if name else _verdict(result))
        bottom.set(xlabel="α    (0: checkpoint A, 1: checkpoint B)", ylim=(-0.02, 1.04))
    losses = [curve[f"{part}_loss"] for each in results.values() for curve in each.curves.values() for part in COLOURS]
    log_if_wide(grid[0, 0], np.concatenate(losses))
    _raise_ceiling(grid[0, 0])
    for result, axes in zip(results.values(), grid[0], strict=True):
        _mark_barrier(axes, result)
    grid[0, 0].set_ylabel("cross-entropy (nats)")
    grid[1, 0].set_ylabel("images right")
    grid[1, 0].yaxis.set_major_formatter(PercentFormatter(1))
    handles, labels = grid[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2 if count == 1 else 4, fontsize=8.5)
    return figure


def _raise_ceiling(axes: Axes) -> None:
    """Room for the letters above the curves."""
    bottom, top = axes.get_ylim()
    axes.set_ylim(top=top * (top / bottom) ** 0.12 if axes.get_yscale() == "log" else top + 0.12 * (top - bottom))


def _draw_curves(axes: Axes, curves: Mapping[BatchNorm, Columns], measure: str) -> None:
    for bn, curve in curves.items():
        for part, colour in COLOURS.items():
            name = f"{NAMES[part]}, {BATCHNORM[bn]}"
            axes.plot(curve["alpha"], curve[f"{part}_{measure}"], STYLES[bn], color=colour, label=name)


def _mark_ends(axes: Axes, *, say: bool) -> None:
    for alpha, letter in ((0.0, "A"), (1.0, "B")):
        axes.axvline(alpha, color=GREY, linewidth=1, zorder=1)
        if say:
            axes.text(
                alpha, 0.985, letter, transform=axes.get_xaxis_transform(), ha="center", va="top", weight="bold",
                color="#55606b", bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.5},
            )  # fmt: skip


def _shade_lost(axes: Axes, result: InterpolateResult, *, say: bool) -> None:
    """Where averaged variances are negative and the loss is not finite, out to the edge, and in which layer."""
    curve = result.curves.get(BatchNorm.INTERPOLATE)
    if curve is None:
        return
    lost = curve["alpha"][~np.isfinite(curve["valid_loss"])]
    for limit, edge in zip(result.negative_variance, axes.get_xlim(), strict=True):
        below = limit is not None and limit.alpha < 0
        if limit is None or not (lost <= limit.alpha if below else lost >= limit.alpha).any():
            continue
        axes.axvspan(limit.alpha, edge, color=RED, alpha=0.08, linewidth=0, zorder=0)
        if say:
            text = f"NaN: negative variance in {limit.layer}"
            side, shift = ("right", -3) if below else ("left", 3)
            axes.annotate(
                text, (limit.alpha, 0.94), xycoords=axes.get_xaxis_transform(), xytext=(shift, 0), ha=side,
                textcoords="offset points", rotation=90, va="top", color=RED, fontsize=8, path_effects=HALO,
            )  # fmt: skip


def _mark_barrier(axes: Axes, result: InterpolateResult) -> None:
    """Mark the barrier of the training loss with an arrow from the chord to the curve."""
    if result.connected is not False:
        return
    judged, curve = result.barriers[result.judged]["train"], result.curves[result.judged]
    height, place = judged.height, judged.alpha
    alpha, loss = curve["alpha"], curve["train_loss"]
    first, last = float(loss[alpha == 0][0]), float(loss[alpha == 1][0])
    between = np.linspace(0, 1, 200)
    axes.plot(between, (1 - between) * first + between * last, ":", color=BLUE, linewidth=1)
    chord = (1 - place) * first + place * last
    arrow = {"arrowstyle": "<->", "color": BLUE, "shrinkA": 0, "shrinkB": 0}
    axes.annotate("", (place, chord + height), (place, chord), arrowprops=arrow)


def _verdict(result: InterpolateResult) -> str:
    found, height = result.connections[result.judged], result.barriers[result.judged]["train"].height
    if result.is_point:
        return "A and B have the same weights"
    if found is None:
        return "Not finite"
    if found == Connection.OPEN:
        return f"Open: a rise of {height:.2g} ± {result.standard_error:.1g}"
    return "Connected" if found == Connection.CONNECTED else f"Separated by a barrier of {height:.2g}"


@styled
def plane(result: PlaneResult) -> Figure:
    """The validation loss on the plane through three checkpoints, as a contour in units of weight distance."""
    shape = float(np.ptp(result.x) / np.ptp(result.y))
    figure = Figure(figsize=(min(max(5.0 * shape, 3.2), 8.0) + 1.8, 5.6))
    axes = figure.subplots()
    losses = np.ma.masked_invalid(result.valid_loss)
    axes.set(xlabel="weight distance, from A towards B", ylabel="weight distance, towards C", aspect="equal")
    axes.set_title("Validation loss, A, B and C")
    axes.grid(False)
    if losses.count():
        # From the lowest loss to where nothing is learnt any more: above that, detail says nothing.
        low, high = float(losses.min()), float(np.quantile(losses.compressed(), 0.9))
        levels = np.geomspace(low, max(high, 1.5 * low), 14)
        drawn = axes.contourf(
            result.x, result.y, losses, levels, cmap="viridis_r", norm=LogNorm(levels[0], levels[-1]), extend="max"
        )
        axes.contour(result.x, result.y, losses, levels, colors="white", linewidths=0.4, alpha=0.6)
        bar = figure.colorbar(drawn, ax=axes, label="cross-entropy (nats)", ticks=levels[::2])
        bar.ax.set_yticklabels([f"{level:.2g}" for level in levels[::2]])
        bar.ax.minorticks_off()
    for corner in result.corners:
        name, x, y, loss = corner.checkpoint, corner.x, corner.y, corner.valid_loss
        axes.plot(x, y, "o", color="white", markeredgecolor="#2c333a", markersize=7)
        axes.annotate(
            name.upper() if loss is None else f"{name.upper()}  {loss:.3g}", (x, y), xytext=(0, 7), ha="center",
            textcoords="offset points", weight="bold", color="#2c333a", path_effects=HALO,
        )  # fmt: skip
    return figure
