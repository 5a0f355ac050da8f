"""Pairs of keys as maps: the lowest fitted loss that the other keys allow."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from numpy.typing import NDArray

from hpcli.analysis.search import placed
from hpcli.config.space import Dimension
from hpcli.plots.dimension import loss_ticks, scale, x_of
from hpcli.plots.keys import title_above
from hpcli.plots.style import INK, ORANGE, legend_below, styled
from hpcli.results.searched import Fitted

Array = NDArray[np.float64]

MAP = 36
"""Cells along a side of a map."""
OTHERS = 48
"""Settings of the other keys, of which the best is taken for each cell."""
MOST_MAPS = 6


@styled
def maps(fitted: Fitted) -> Figure:
    """Pairs of keys: the lowest fitted loss that the other keys allow, and the runs."""
    count = len(fitted.space)
    pairs = [(one, other) for one in range(count) for other in range(one + 1, count)][:MOST_MAPS]
    columns = min(len(pairs), 3)
    rows = -(-len(pairs) // columns)
    figure = Figure(figsize=(3.6 * columns + 0.8, 3.3 * rows + 0.6))
    grid = figure.subplots(rows, columns, squeeze=False)
    cells = [_cells(fitted, *pair) for pair in pairs]
    low, high = min(float(each.min()) for each in cells), max(float(each.max()) for each in cells)
    norm = LogNorm(low, max(high, 1.01 * low))
    for axes, pair, values in zip(grid.flat, pairs, cells, strict=False):
        _map(axes, fitted, pair, values, norm)
    for axes in list(grid.flat)[len(pairs) :]:
        axes.set_visible(False)
    several = "Pairs of keys: the lowest fitted loss that the others allow"
    title_above(figure, several if count > 2 else "The fitted loss")
    bar = figure.colorbar(grid.flat[0].collections[0], ax=list(grid.flat), label="fitted loss (nats)")
    loss_ticks(bar.ax)
    legend_below(figure)
    return figure


def _edges(dimension: Dimension) -> Array:
    count = len(dimension.choices)
    return np.asarray(np.arange(count + 1) - 0.5 if count else np.linspace(0, 1, MAP + 1))


def _cells(fitted: Fitted, one: int, other: int) -> Array:
    """[rows, columns] the lowest mean over settings of the other keys, nats."""
    surface, space = fitted.searched.surface, fitted.space
    assert surface is not None
    middles = [np.convolve(_edges(space[place]), [0.5, 0.5], "valid") for place in (one, other)]
    uniform = np.random.default_rng(0).random((OTHERS if len(space) > 2 else 1, len(space)))
    others = placed(surface.axes, uniform)
    x, y = np.meshgrid(*middles)
    points = np.repeat(others[None], x.size, axis=0)
    points[:, :, one], points[:, :, other] = x.reshape(-1, 1), y.reshape(-1, 1)
    mean = surface.mean(points.reshape(-1, len(space))).reshape(x.size, -1).min(1)
    return np.asarray(np.exp(mean).reshape(x.shape))


def _map(axes: Axes, fitted: Fitted, pair: tuple[int, int], values: Array, norm: LogNorm) -> None:
    space, searched = fitted.space, fitted.searched
    x, y = (
        _edges(space[place]) if space[place].choices else x_of(space[place], _edges(space[place])) for place in pair
    )
    axes.pcolormesh(x, y, values, norm=norm, cmap="viridis_r", rasterized=True)
    across, up = (x_of(space[place], searched.points[:, place]) for place in pair)
    axes.scatter(across, up, s=13, color="white", edgecolor=INK, lw=0.6, zorder=3, label="a run")
    for setting, marker, color, name in (
        (fitted.present, "D", "white", "present"),
        (fitted.choice, "*", ORANGE, "to use"),
    ):
        if setting is not None and all(space[i].key in setting for i in pair):
            across, up = (x_of(space[i], np.array([space[i].place(setting[space[i].key])])) for i in pair)
            size = 60 if marker == "D" else 150
            axes.scatter(across, up, s=size, marker=marker, color=color, edgecolor=INK, zorder=4, label=name)
    for place, vertical in zip(pair, (False, True), strict=True):
        scale(axes, space[place], vertical=vertical)
    axes.grid(visible=False)
