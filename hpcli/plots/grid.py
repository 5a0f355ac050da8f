"""Images of the data in rows and columns, with what there is to say of each under it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

LINE = 0.17
"""Inches a line of text."""
ABOVE = 0.35
"""Inches for the title."""


def picture_grid(
    pixels: NDArray[np.generic], captions: Sequence[Sequence[tuple[str, str]]], title: str, *, width: float = 1.05
) -> Figure:
    """A grid, as square as it can be.

    One set of axes, in inches: one for each image takes seconds to lay out.

    Args:
        pixels: uint8 [N, H, W, C]; C is 1 or 3.
        captions: N times the lines under an image, each with its colour, as matplotlib takes them.
        title: of the figure.
        width: inches of a cell.
    """
    side = max(1, int(np.ceil(np.sqrt(len(pixels)))))
    box = 0.924 * width / max(pixels.shape[1:3])
    tall, wide = box * pixels.shape[1], box * pixels.shape[2]
    height = tall + LINE * (max(map(len, captions), default=1) + 0.8)
    size = max(3.6, width * side), height * -(-len(pixels) // side) + ABOVE  # as wide as the title, too
    figure = Figure(figsize=size)
    figure.set_layout_engine("none")
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    axes.set_axis_off()
    for place, (picture, lines) in enumerate(zip(pixels, captions, strict=True)):
        middle, below = (place % side + 0.5) * width, ABOVE + place // side * height + tall
        extent = (middle - wide / 2, middle + wide / 2, below, below - tall)
        image = picture.squeeze(-1) if picture.shape[-1] == 1 else picture
        axes.imshow(image, cmap="gray", vmin=0, vmax=255, extent=extent)
        for number, (text, colour) in enumerate(lines):
            axes.text(middle, below + LINE * (number + 0.75), text, fontsize=8.5, ha="center", color=colour)
    axes.text(0.06, 0.2, title, fontsize=11, weight="bold", va="center")
    axes.set(xlim=(0, figure.get_figwidth()), ylim=(figure.get_figheight(), 0))
    return figure
