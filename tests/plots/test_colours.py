from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_hex

from hpcli.plots import style
from hpcli.plots.colours import DARK_PAPER, LINES, PAPER, WORDS, contrast, in_dark, readable
from hpcli.plots.dark import darken

COLOURS = [
    "#000000",
    style.INK,
    style.BLUE,
    style.ORANGE,
    style.RED,
    style.GREEN,
    "#55606b",
    "#6b747d",
    *style.DISTINCT,
]


def test_contrast_is_that_of_the_guidelines() -> None:
    """WCAG 2.2: black on white is 21; #767676 is the lightest grey that words may have on white, 4.54."""
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#767676", "#ffffff") == pytest.approx(4.54, abs=0.01)
    assert contrast("#777777", "#ffffff") < WORDS


@pytest.mark.parametrize("color", [*COLOURS, style.GREY, "#ffffff"])
def test_words_can_be_read_on_white(color: str) -> None:
    found = readable(color)
    assert contrast(found, PAPER) >= WORDS
    assert found == color or contrast(color, PAPER) < WORDS


@pytest.mark.parametrize("color", COLOURS)
def test_what_stands_out_from_white_stands_out_from_the_dark(color: str) -> None:
    assert contrast(color, PAPER) >= LINES
    assert contrast(in_dark(color), DARK_PAPER) >= WORDS


def test_paper_turns_dark_and_what_is_faint_stays_faint() -> None:
    assert in_dark("white") == DARK_PAPER
    assert contrast(in_dark("#e4e8ec"), DARK_PAPER) < 1.5
    assert contrast(in_dark("#000000"), DARK_PAPER) > 12


def test_hues_stay() -> None:
    red, green, blue = (int(in_dark("#b3261e")[at : at + 2], 16) for at in (1, 3, 5))
    assert red > 2 * green
    assert red > 2 * blue


def test_a_dark_figure_keeps_what_lies_on_an_image() -> None:
    figure, (left, right) = plt.subplots(1, 2)
    line = left.plot([0, 1], color="black")[0]
    right.imshow(np.eye(2))
    word = right.text(0, 0, "7", color="black")
    title = right.set_title("seven")
    darken(figure)
    assert to_hex(line.get_color()) == in_dark("black")
    assert to_hex(figure.get_facecolor()) == DARK_PAPER
    assert to_hex(word.get_color()) == "#000000"
    assert to_hex(title.get_color()) == in_dark("black")
    plt.close(figure)
