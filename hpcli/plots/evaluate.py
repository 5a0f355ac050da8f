"""The pictures of an evaluation: what is taken for what, and the images that it is most wrong about."""

from __future__ import annotations

import math

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from hpcli.plots.grid import picture_grid
from hpcli.plots.style import INK, RED, shortened, styled
from hpcli.results.evaluate import SPLIT_WORDS, EvaluateResult

MOST_NAMED = 30
"""With more classes than these, names and numbers would not be readable."""


def figures(result: EvaluateResult) -> dict[str, Figure]:
    """The pictures of an evaluation; none where it is not finished, or the loss is not a number."""
    if not result.score or not math.isfinite(result.score.loss):
        return {}
    drawn = {"confusion": confusion(result)}
    return drawn if result.mistaken_images is None else {**drawn, "mistakes": mistakes(result)}


@styled
def confusion(result: EvaluateResult) -> Figure:
    """Each row is a class, its colours the share of its images that were taken for each class."""
    counts = result.confusion
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    num_classes = len(result.classes)
    named = num_classes <= MOST_NAMED
    side = min(11.0, 3.2 + 0.42 * num_classes) if named else 7.5
    figure = Figure(figsize=(side + 0.9, side))
    axes = figure.subplots()
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    accuracy = counts.trace() / max(counts.sum(), 1)
    split = SPLIT_WORDS[result.score.split] if result.score else ""
    axes.set(
        xlabel="taken for",
        ylabel="class" if named else "class, by its row in evaluation.csv (from 0)",
        title=f"{accuracy:.1%} of {counts.sum():,} {split} images right",
    )
    axes.grid(False)
    if named:
        names = [shortened(name, 16) for name in result.classes]
        axes.set_xticks(range(num_classes), names, rotation=45, ha="right")
        axes.set_yticks(range(num_classes), names)
        for (row, column), share in np.ndenumerate(shares):
            if round(100 * share) > 0:
                colour = "white" if share > 0.55 else "#2c333a"
                axes.text(column, row, f"{100 * share:.0f}", ha="center", va="center", color=colour, fontsize=7.5)
    figure.colorbar(image, ax=axes, shrink=0.8, format=PercentFormatter(1), label="share of the class")
    return figure


@styled
def mistakes(result: EvaluateResult) -> Figure:
    """The images of highest loss that are taken for something else: what each is, and for what it is taken."""
    images = result.mistaken_images
    if images is None:
        raise ValueError("this evaluation has kept no images of mistakes")
    captions = [
        [(shortened(each.class_, 17), INK), (f"→ {shortened(each.taken_for, 13)} {each.probability:.0%}", RED)]
        for each in result.mistakes
    ]
    return picture_grid(images, captions, "The highest losses, and what was seen", width=1.5)
