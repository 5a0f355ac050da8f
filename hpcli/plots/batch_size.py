"""The picture of a measurement of batch sizes."""

from __future__ import annotations

from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

from hpcli.analysis.throughput import ENOUGH
from hpcli.plots.style import BLUE, GREEN, GREY, RED, label, styled
from hpcli.results.batch_size import BatchSizeResult


def figures(result: BatchSizeResult) -> dict[str, Figure]:
    """The picture of a measurement; none where no size fits."""
    return {"batch_size": batch_size(result)} if result.rates else {}


@styled
def batch_size(result: BatchSizeResult) -> Figure:
    """Images a second against the batch size, with the size from which on nothing is gained."""
    figure = Figure()
    axes = figure.subplots()
    sizes, rates = list(result.rates), list(result.rates.values())
    axes.plot(sizes, rates, "o-", color=BLUE, markersize=5)
    axes.axhspan(ENOUGH * max(rates), max(rates), color=GREEN, alpha=0.12, linewidth=0)
    place = sizes.index(result.enough)
    axes.plot(sizes[place], rates[place], "o", color=GREEN, markersize=8)
    label(axes, f"enough: {result.enough}", (sizes[place], rates[place]), GREEN)
    for row in result.rows:
        if not row.fits:
            axes.axvline(row.batch_size, color=RED, linewidth=1, linestyle=":")
            axes.annotate("does not fit", (row.batch_size, 0), color=RED, rotation=90, va="bottom")
    axes.set_xscale("log", base=2)
    axes.set_xticks(sizes, [f"{size:.0f}" for size in sizes])
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda rate, _: f"{rate:,.0f}"))
    axes.set(xlabel="batch size (images a step)", ylabel="images / s", title="Training throughput", ylim=(0, None))
    axes.spines["left"].set_color(GREY)
    return figure
