"""A searched key as an axis of a picture."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter, NullLocator
from numpy.typing import NDArray

from hpcli.config.space import Dimension, Scale
from hpcli.config.varying import written
from hpcli.plots.style import shortened

Array = NDArray[np.float64]

TITLES = {"schedule.max_lr": "max_lr", "schedule.momentum": "momentum", "optimizer.weight_decay": "weight_decay"}


def x_of(dimension: Dimension, places: Array) -> Array:
    """Places as numbers of the axis: of a momentum 1 − m."""
    if dimension.scale == Scale.CHOICE:
        return places
    if dimension.scale == Scale.MEMORY:
        return np.asarray((1 - dimension.low) * ((1 - dimension.high) / (1 - dimension.low)) ** places)
    if dimension.scale == Scale.LOG:
        return np.asarray(dimension.low * (dimension.high / dimension.low) ** places)
    return np.asarray(dimension.low + (dimension.high - dimension.low) * places)


def scale(axes: Axes, dimension: Dimension, *, vertical: bool = False) -> None:
    """Give an axis the key's name, scale and ticks."""
    axis: Axis = axes.yaxis if vertical else axes.xaxis
    title = TITLES.get(dimension.key, shortened(dimension.key, 26))
    axis.set_label_text(f"1 − {title}" if dimension.scale == Scale.MEMORY else title)
    if dimension.choices:
        axis.set_ticks(range(len(dimension.choices)), [shortened(written(each), 14) for each in dimension.choices])
    elif dimension.scale == Scale.LINEAR:
        axis.set_major_locator(MaxNLocator(5, integer=dimension.whole))
    else:
        (axes.set_yscale if vertical else axes.set_xscale)("log")
        axis.set_major_locator(LogLocator(subs=(1, 2, 5) if (dimension.decades or 1) < 2.1 else (1,)))
        axis.set_major_formatter(FuncFormatter(lambda value, _: written(float(f"{value:.3g}"))))
        axis.set_minor_formatter(NullFormatter())
        if dimension.scale == Scale.MEMORY:
            (axes.invert_yaxis if vertical else axes.invert_xaxis)()


def loss_ticks(axes: Axes) -> None:
    """A logarithmic axis of losses with a handful of round numbers, also within less than a decade."""
    axes.set_yscale("log")
    low, high = axes.get_ylim()
    axes.yaxis.set_major_locator(MaxNLocator(5) if high < 8 * low else LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda loss, _: f"{loss:.3g}"))
    axes.yaxis.set_minor_locator(NullLocator())
