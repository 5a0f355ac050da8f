"""The map of a sweep of two keys."""

from __future__ import annotations

import numpy as np
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter

from hpcli.config.varying import written
from hpcli.plots.style import INK, shortened, styled
from hpcli.results.sweep import SweepResult


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
                Rectangle(
                    (column - 0.45, row - 0.45), 0.9, 0.9, fill=False, color=INK, linewidth=2, zorder=3,
                    path_effects=[withStroke(linewidth=4.5, foreground="white")],
                )
            )  # fmt: skip
    finite = means[np.isfinite(means)]
    norm = LogNorm(finite.min(), finite.max()) if finite.max() > 3 * finite.min() > 0 else None
    picture = axes.imshow(means, cmap="viridis_r", norm=norm, aspect="auto")
    dark = np.nan_to_num(np.asarray(picture.norm(means), float)) > 0.4
    for (row, column), mean in np.ndenumerate(means):
        text = f"{mean:#.3g}".rstrip(".") if np.isfinite(mean) else states[row, column]
        color = "white" if dark[row, column] else "black"
        axes.text(column, row, text, ha="center", va="center", color=color, fontsize=9)
    axes.set_xticks(range(len(columns)), [shortened(name, 20) for name in columns])
    axes.set_yticks(range(len(rows)), [shortened(name, 20) for name in rows])
    axes.set(xlabel=result.keys[1], ylabel=result.keys[0], title="Validation loss (nats); framed: may be the best")
    axes.grid(visible=False)
    short = FuncFormatter(lambda loss, _: f"{loss:.4g}")
    ticks = MaxNLocator(5) if norm is None else np.geomspace(finite.min(), finite.max(), 5)
    bar = figure.colorbar(picture, ax=axes, label="mean over seeds", format=short, ticks=ticks)
    bar.ax.yaxis.set_minor_formatter(NullFormatter())
    return figure
