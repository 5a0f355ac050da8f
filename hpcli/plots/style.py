"""One look for all pictures: grey is raw, blue training, orange validation, green advice, red what went wrong."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter
from numpy.typing import NDArray

BLUE, ORANGE, RED, GREY, GREEN = "#2563a8", "#d9730d", "#c0392b", "#9aa3ad", "#2e8b57"

STYLE: dict[Any, Any] = {
    "figure.dpi": 150,
    "figure.figsize": (7.2, 4.2),
    "figure.constrained_layout.use": True,
    "font.size": 10,
    "font.family": "sans-serif",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#55606b",
    "axes.labelcolor": "#2c333a",
    "axes.titlesize": 11.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.grid": True,
    "grid.color": "#e4e8ec",
    "grid.linewidth": 0.8,
    "axes.axisbelow": True,
    "xtick.color": "#55606b",
    "ytick.color": "#55606b",
    "legend.frameon": False,
    "lines.linewidth": 1.8,
    "lines.solid_capstyle": "round",
}

_Arguments = ParamSpec("_Arguments")


def styled(draw: Callable[_Arguments, Figure]) -> Callable[_Arguments, Figure]:
    """Draw in this style, whatever matplotlib's is set to."""

    @wraps(draw)
    def styled(*args: _Arguments.args, **kwargs: _Arguments.kwargs) -> Figure:
        with mpl.rc_context(STYLE):
            return draw(*args, **kwargs)

    return styled


def plain(text: str) -> str:
    """A name of a user's as matplotlib shows it letter by letter: no mathematics, nothing that cannot be printed."""
    shown = "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in text)
    return shown.replace("$", r"\$")


def epochs_on_top(axes: Axes, steps_per_epoch: int, num_steps: int) -> None:
    """A second axis that counts epochs, where there is more than one."""
    if num_steps <= steps_per_epoch:
        return

    def to_epoch(step: Any) -> Any:
        return np.asarray(step) / steps_per_epoch

    def to_step(epoch: Any) -> Any:
        return np.asarray(epoch) * steps_per_epoch

    top = axes.secondary_xaxis("top", functions=(to_epoch, to_step))
    top.set_xlabel("epoch", fontsize=9, color="#55606b")
    top.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=12))
    top.spines["top"].set_visible(False)
    top.tick_params(length=2)


def label(axes: Axes, text: str, at: tuple[float, float], color: str, *, above: bool = False) -> None:
    """A bold number beside its point, readable over any line."""
    halo = [withStroke(linewidth=3, foreground="white")]
    axes.annotate(
        text, at, xytext=(0, 7 if above else -9), textcoords="offset points", ha="center",
        va="bottom" if above else "top", color=color, weight="bold", path_effects=halo,
    )  # fmt: skip


def log_if_wide(axes: Axes, values: NDArray[np.float64]) -> None:
    """A logarithmic loss axis where the losses span more than a decade."""
    finite = values[np.isfinite(values) & (values > 0)]
    if finite.size and finite.max() > 10 * finite.min():
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.yaxis.set_minor_formatter(NullFormatter())


def plain_decades(axes: Axes) -> None:
    """Ticks of a logarithmic learning-rate axis: 1e-5 … 0.001, 0.01, 0.1, 1."""
    axes.xaxis.set_major_locator(LogLocator(numticks=12))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda lr, _: f"{lr:g}" if lr >= 1e-3 else f"1e{round(np.log10(lr))}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
