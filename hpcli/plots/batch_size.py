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
    if len(sizes) > 1:
        axes.axhspan(ENOUGH * max(rates), max(rates), color=GREEN, alpha=0.12, linewidth=0)
    if result.enough is not None:
        at = result.enough, result.rates[result.enough]
        axes.plot(*at, "o", color=GREEN, markersize=8)
        label(axes, f"enough: {result.enough}", at, GREEN, above=True)
    elif len(sizes) > 1:
        label(axes, "still growing", (sizes[-1], rates[-1]), BLUE, above=True)
    for row in result.rows:
        if not row.fits:
            axes.axvline(row.batch_size, color=RED, linewidth=1, linestyle=":")
            axes.annotate(
                "does not fit", (row.batch_size, 0), xytext=(3, 4), textcoords="offset points", color=RED, rotation=90,
                va="bottom",
            )  # fmt: skip
    axes.set_xscale("log", base=2)
    axes.margins(x=0.1)
    ticks = sorted(row.batch_size for row in result.rows)
    axes.set_xticks(ticks, [f"{size:.0f}" for size in ticks])
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda rate, _: f"{rate:,.0f}"))
    axes.set(
        xlabel="batch size (images a step)",
        ylabel="images / s",
        title="Training throughput",
        ylim=(0, 1.15 * max(rates)),
    )
    axes.spines["left"].set_color(GREY)
    return figure
