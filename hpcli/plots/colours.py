"""Colours by how light they look: words that can be read on white, and every colour's counterpart on a dark page.

Lightness is OKLab's, in which equal steps look equal (Ottosson, 2020). Contrast is that of the web's guidelines (WCAG
2.2): 4.5 for words, 3 for lines.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from matplotlib.colors import to_hex, to_rgb
from numpy.typing import NDArray

WORDS, LINES = 4.5, 3
"""Contrast that words need, and lines."""
PAPER, DARK_PAPER = "#ffffff", "#171a1e"
DARKEST, SPAN = 0.22, 0.76
"""Lightness on a dark page of what is white, and how much more of what is black."""
_TO_CONES = np.array([[0.4122214708, 0.5363325363, 0.0514459929],
                      [0.2119034982, 0.6806995451, 0.1073969566],
                      [0.0883024619, 0.2817188376, 0.6299787005]])  # fmt: skip
_TO_LAB = np.array([[0.2104542553, 0.7936177850, -0.0040720468],
                    [1.9779984951, -2.4285922050, 0.4505937099],
                    [0.0259040371, 0.7827717662, -0.8086757660]])  # fmt: skip
"""Linear sRGB → cones; their cube roots → OKLab."""


def contrast(one: str, other: str) -> float:
    """Of two colours, from 1 to 21."""
    low, high = sorted(float(_linear(each) @ (0.2126, 0.7152, 0.0722)) for each in (one, other))
    return (high + 0.05) / (low + 0.05)


@cache
def readable(color: str) -> str:
    """A colour in which words can be read on white: itself, or as much darker as that takes."""
    if contrast(color, PAPER) >= WORDS:
        return color
    light, *hue = _lab(color)
    return _first(np.linspace(light, 0, 101).tolist(), hue, PAPER, WORDS)


@cache
def in_dark(color: str) -> str:
    """A colour on a dark page: its lightness turned over, its hue kept; what stood out from white stands out.

    Args:
        color: any that matplotlib knows; opacity is left out.

    Returns:
        `#rrggbb`.
    """
    if to_hex(color) == PAPER:
        return DARK_PAPER
    light, *hue = _lab(color)
    least = WORDS if contrast(color, PAPER) >= LINES else contrast(color, PAPER)
    start = DARKEST + SPAN * (1 - light)
    return _first(np.linspace(start, 1, 101).tolist(), hue, DARK_PAPER, least)


def _first(lightness: list[float], hue: list[float], paper: str, least: float) -> str:
    """The first colour with so much contrast, else the last."""
    found = (_color(each, hue) for each in lightness)
    return next((each for each in found if contrast(each, paper) >= least), _color(lightness[-1], hue))


def _linear(color: str) -> NDArray[np.float64]:
    parts = np.array(to_rgb(color))
    return np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)


def _lab(color: str) -> list[float]:
    return [float(each) for each in _TO_LAB @ np.cbrt(_TO_CONES @ _linear(color))]


def _color(light: float, hue: list[float]) -> str:
    linear = np.linalg.solve(_TO_CONES, np.linalg.solve(_TO_LAB, [light, *hue]) ** 3).clip(0, 1)
    red, green, blue = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return to_hex((red, green, blue))
