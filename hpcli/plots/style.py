"""One look for all pictures: grey is raw, blue training, orange validation, green advice, red what went wrong.

The colours stand out from white (3 to 1 at least) and from each other, also for the colour-blind. Legends stand below,
where they cover nothing.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, ParamSpec

import matplotlib as mpl
import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, to_hex
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.text import Text
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter
from numpy.typing import ArrayLike, NDArray

from hpcli.plots.colours import readable

BLUE, ORANGE, RED, GREY, GREEN = "#2563a8", "#d9730d", "#b3261e", "#9aa3ad", "#0f8f7a"
INK = "#2c333a"
DISTINCT = (BLUE, ORANGE, "#3a1a6b", "#17899b", "#8c1c13")
RAMP = LinearSegmentedColormap.from_list("hpcli", ["#3a1a6b", BLUE, "#17899b", ORANGE, "#8c1c13"])
MARKERS = "os^Dv"

STYLE: dict[Any, Any] = {
    "figure.dpi": 150,
    "figure.figsize": (7.2, 4.2),
    "figure.constrained_layout.use": True,
    "font.size": 10,
    "font.family": "sans-serif",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#55606b",
    "axes.labelcolor": INK,
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
    """Draw in this style, whatever matplotlib's is set to; words in colours that can be read."""

    @wraps(draw)
    def styled(*args: _Arguments.args, **kwargs: _Arguments.kwargs) -> Figure:
        """Draw in the one style, every text in a colour that can be read."""
        with mpl.rc_context(STYLE):
            figure = draw(*args, **kwargs)
            for text in set(figure.findobj(Text)) - lying_on_images(figure):
                text.set_color(readable(to_hex(text.get_color())))
            return figure

    return styled


def lying_on_images(figure: Figure) -> set[Artist]:
    """What is drawn over an image, a map or contours, whose colours mean numbers; and these themselves."""
    return {
        each
        for axes in figure.axes
        if has_image(axes)
        for group in (axes.lines, axes.collections, axes.texts, axes.images, axes.patches)
        for drawn in group
        if not (isinstance(drawn, Text) and _is_beside_images(drawn, axes))
        for each in drawn.findobj()
    }


def _is_beside_images(text: Text, axes: Axes) -> bool:
    """Whether words stand beside the images of their axes, as those under the pictures of a grid do."""
    x, y = map(float, text.get_position())
    boxes = [(*sorted(each.get_extent()[:2]), *sorted(each.get_extent()[2:])) for each in axes.images]
    return bool(boxes) and not any(left <= x <= right and low <= y <= high for left, right, low, high in boxes)


def has_image(axes: Axes) -> bool:
    """Whether there is an image, a map or contours in it."""
    return bool(axes.images) or any(each.get_array() is not None for each in axes.collections)


def plain(text: str) -> str:
    """A name of a user's as matplotlib shows it letter by letter: no mathematics, nothing that cannot be printed."""
    shown = "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in text)
    return shown.replace("$", r"\$")


def epochs_on_top(axes: Axes, steps_per_epoch: int, num_steps: int) -> None:
    """A second axis that counts epochs trained, where there is more than one."""
    if num_steps <= steps_per_epoch:
        return

    def to_epoch(step: Any) -> Any:
        """Epochs done after a step."""
        return (np.asarray(step) + 1) / steps_per_epoch  # step 0 is the first that is trained

    def to_step(epoch: Any) -> Any:
        """The last step of so many epochs."""
        return np.asarray(epoch) * steps_per_epoch - 1

    top = axes.secondary_xaxis("top", functions=(to_epoch, to_step))
    top.set_xlabel("epochs trained", fontsize=9, color="#55606b")
    top.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=12))
    top.spines["top"].set_visible(False)
    top.tick_params(length=2)


def label(
    axes: Axes, text: str, at: tuple[float, float], color: str, *, above: bool = False, beside: bool = False
) -> None:
    """A bold number below its point, above it or to its right, readable over any line."""
    halo = [withStroke(linewidth=3, foreground="white")]
    shift, across, up = ((8, 0), "left", "center") if beside else ((0, -9), "center", "top")
    if above:
        shift, up = (0, 7), "bottom"
    axes.annotate(
        text, at, xytext=shift, textcoords="offset points", ha=across, va=up, color=color, weight="bold",
        path_effects=halo,
    )  # fmt: skip


def shades(count: int) -> list[str]:
    """So many colours: unlike each other up to five, from dark violet to dark red in order beyond."""
    return (
        list(DISTINCT[:count]) if count <= len(DISTINCT) else [to_hex(each) for each in RAMP(np.linspace(0, 1, count))]
    )


def shortened(text: str, most: int) -> str:
    """A name of a user's, its middle left out where it is longer than `most` letters."""
    head = most // 2
    return plain(text if len(text) <= most else f"{text[:head]}…{text[head + 1 - most :]}")


def legend_below(figure: Figure, *, size: float = 8.5) -> None:
    """All that is named in a figure, below it, in as many columns as fit; the figure grows by as much."""
    found: dict[str, Any] = {}
    for axes in figure.axes:
        handles, names = axes.get_legend_handles_labels()
        found = {**dict(zip(names, handles, strict=True)), **found}
    if not found:
        return
    letter = size * 0.0083  # inches, of the mean letter
    widest = 0.55 + letter * max(map(len, found))
    columns = max(1, min(len(found), int((figure.get_figwidth() - 0.3) / widest)))
    figure.set_figheight(figure.get_figheight() + size * 0.021 * -(-len(found) // columns))
    figure.legend(list(found.values()), list(found), loc="outside lower center", ncols=columns, fontsize=size)


def say_above(figure: Figure, title: str, said: Sequence[tuple[str, str]], *, from_: float = 4) -> None:
    """A title, and under it texts, each with its colour, from so many points above the only axes."""
    (axes,), height = figure.axes, from_
    for text, colour in reversed(said):
        lines = textwrap.wrap(text, int(14 * figure.get_figwidth()))
        axes.annotate(
            "\n".join(lines), (0, 1), xycoords="axes fraction", xytext=(0, height), textcoords="offset points",
            va="bottom", color=colour, fontsize=9,
        )  # fmt: skip
        height += 13 * len(lines)
    axes.set_title(title, pad=height + 3)


def loss_axis(axes: Axes, values: ArrayLike, untrained: float) -> None:
    """A loss axis on which all can be read: logarithmic where the losses span more than a decade.

    What is far above an untrained network's loss would flatten all else: it is marked at the upper edge, and how far it
    reaches is said in the legend. Call it when all lines are drawn.

    Args:
        axes: with lines of losses.
        values: all losses of interest, in any shape; not finite ones are ignored.
        untrained: the loss of an untrained network, in nats.
    """
    finite = np.asarray(values, float).ravel()
    finite = finite[np.isfinite(finite) & (finite > 0)]
    if not finite.size:
        return
    near = finite[finite <= 10 * untrained] if untrained > 0 else finite
    near = near if near.size else np.array([untrained])
    is_wide = near.max() > 10 * near.min()
    if not is_wide and untrained > 0:
        near = near[near <= max(2 * untrained, near.min())]
    if finite.max() > near.max():
        low, top = float(near.min()), float(near.max())
        spread = top / low if is_wide else max(top - low, 0.1 * top)
        edge = top * spread**0.12 if is_wide else top + 0.12 * spread
        _mark_beyond(axes, edge, float(finite.max()))
        axes.set_ylim(
            (low / spread**0.05, edge * spread**0.05) if is_wide else (low - 0.06 * spread, edge + 0.05 * spread)
        )
    if is_wide:
        log_if_wide(axes, near)


def _mark_beyond(axes: Axes, ceiling: float, highest: float) -> None:
    marked = 0
    for line in list(axes.lines):
        x, y = np.asarray(line.get_xdata(), float), np.asarray(line.get_ydata(), float)
        beyond = np.isfinite(y) & (y > ceiling)
        if not beyond.any() or line.get_transform() != axes.transData:
            continue
        color, place = line.get_color(), np.full(beyond.sum(), ceiling)
        size = min(6 + 4 * marked, 18)  # of several lines at one place each is seen
        axes.plot(x[beyond], place, "^", color=color, markerfacecolor="none", markersize=size)
        marked += 1
    if marked:
        axes.plot([], [], "^", color="#55606b", markerfacecolor="none", label=f"above the axis, up to {highest:.3g}")


def log_if_wide(axes: Axes, values: NDArray[np.float64]) -> None:
    """A logarithmic loss axis where the losses span more than a decade; ticks however many they span."""
    finite = values[np.isfinite(values) & (values > 0)]
    if finite.size and finite.max() > 10 * finite.min():
        axes.set_yscale("log")
        few = finite.max() < 1e3 * finite.min()
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if few else (1,), numticks=None if few else 9))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.yaxis.set_minor_formatter(NullFormatter())


def count_epochs(axes: Axes, last: int) -> None:
    """An axis of whole epochs trained, from the start to the last."""
    axes.set(xlim=(0, max(last, 1) * 1.02), xlabel="epochs trained")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))


def plain_decades(axes: Axes) -> None:
    """Ticks of a logarithmic learning-rate axis: 1e-5 … 0.001, 0.01, 0.1, 1."""
    axes.xaxis.set_major_locator(LogLocator(numticks=12))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda lr, _: f"{lr:g}" if lr >= 1e-3 else f"1e{round(np.log10(lr))}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
