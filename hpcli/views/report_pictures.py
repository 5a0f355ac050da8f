"""Figures within a page: as SVG whose words are words and whose colours follow the reader's scheme, or as an image.

What lies on photographs, maps and contours keeps its colours, which mean numbers: such a figure is an image, of which
there are two, for a light page and a dark one.
"""

from __future__ import annotations

import base64
import re
import warnings
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup
from matplotlib.figure import Figure

from hpcli.plots.colours import in_dark
from hpcli.plots.dark import darken
from hpcli.plots.saving import drawn
from hpcli.plots.style import has_image
from hpcli.recording.glyphs import glyphs_in_a_line

BLACK = "#000000"
"""What an SVG that names no colour means."""
TALL, WIDE = 0.8, 9.0
"""Height over width; inches."""
_COLOUR = re.compile(r"#([0-9a-f]{6})\b")
_FONT = re.compile(r"font-family: [^;]*(; )?")
"""Repeated at every word: the page's stylesheet says it once."""
_POINTS_TO = re.compile(r"url\(#([^)]+)\)")


@dataclass(frozen=True)
class Picture:
    """A figure as a part of a page."""

    name: str  # as its file in the run folder is called
    html: Markup
    shape: str  # tall, about as high as wide or higher; wide, of several beside each other; else empty
    colours: frozenset[str]  # literal colours, which the page's stylesheet gives a dark value each

    @property
    def caption(self) -> str:
        """What it shows, in words."""
        return words(self.name)


def pictures(figures: Mapping[str, Figure], *, prefix: str, label: str) -> list[Picture]:
    """Figures as parts of a page, in their order.

    Args:
        figures: by name; those with images are changed, for the dark page.
        prefix: that no other figure of the page has: ids must not meet.
        label: what they show, for who does not see them.
    """
    return [
        _image(name, figure, label)
        if any(map(has_image, figure.axes))
        else _svg(name, figure, f"{prefix}{place}", label)
        for place, (name, figure) in enumerate(figures.items())
    ]


def colour_rules(shown: Sequence[Picture]) -> tuple[dict[str, str], dict[str, str]]:
    """Name of a CSS variable → its colour, on a light page and on a dark one."""
    every = sorted({BLACK}.union(*(each.colours for each in shown)))
    return {_variable(each): each for each in every}, {_variable(each): in_dark(each) for each in every}


def _variable(colour: str) -> str:
    return f"--c-{colour[1:]}"


def _image(name: str, figure: Figure, label: str) -> Picture:
    with glyphs_in_a_line(name):
        light = _data(drawn(figure, "png"))
        darken(figure)
        dark = _data(drawn(figure, "png"))
    html = Markup(
        '<picture><source srcset="{}" media="screen and (prefers-color-scheme: dark)"><img src="{}" alt="{}"></picture>'
    ).format(dark, light, f"{words(name)}. {label}")
    return Picture(name, html, _shape(figure), frozenset())


def _shape(figure: Figure) -> str:
    wide, high = figure.get_figwidth(), figure.get_figheight()
    return "tall" if high > TALL * wide else "wide" if wide > WIDE else ""


def _data(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"


def _svg(name: str, figure: Figure, prefix: str, label: str) -> Picture:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*missing from font")  # the reader's own fonts have them
        root = ET.fromstring(drawn(figure, "svg"))
    for each in list(root.iter()):
        for child in [child for child in each if _tag(child) in ("metadata", "style")]:
            each.remove(child)
    used = set(_pointed_to(root))
    colours: set[str] = set()
    for each in root.iter():
        each.tag = _tag(each)
        found = {key.rpartition("}")[2]: value for key, value in each.attrib.items()}
        each.attrib.clear()
        each.attrib.update(_attributes(found, prefix, used, colours))
    box = root.attrib["viewBox"]
    root.attrib.clear()
    root.attrib.update(
        {
            "viewBox": box,
            "role": "img",
            "aria-label": f"{words(name)}. {label}",
            "style": f"fill: {_by_variable(BLACK)}",
        }
    )
    return Picture(name, Markup(ET.tostring(root, encoding="unicode")), _shape(figure), frozenset(colours))


def _tag(element: ET.Element) -> str:
    return element.tag.rpartition("}")[2]


def _pointed_to(root: ET.Element) -> Iterator[str]:
    """The ids that something in a figure points to."""
    for each in root.iter():
        for key, value in each.attrib.items():
            if key.rpartition("}")[2] == "href":
                yield value[1:]
            yield from _POINTS_TO.findall(value)


def _attributes(found: Mapping[str, str], prefix: str, used: set[str], colours: set[str]) -> dict[str, str]:
    """Attributes for a page of several figures: ids that nothing points to are left out, others get the prefix."""
    kept = {}
    for key, value in found.items():
        if key == "id":
            if value in used:
                kept[key] = f"{prefix}-{value}"
        elif key == "href":
            kept[key] = f"#{prefix}-{value[1:]}"
        elif key == "style":
            colours.update(f"#{each}" for each in _COLOUR.findall(value))
            style = _COLOUR.sub(lambda each: _by_variable(each[0]), _FONT.sub("", value))
            kept[key] = _POINTS_TO.sub(rf"url(#{prefix}-\1)", style)
        else:
            kept[key] = _POINTS_TO.sub(rf"url(#{prefix}-\1)", value)
    return kept


def _by_variable(colour: str) -> str:
    return f"var({_variable(colour)}, {colour})"


CAPTIONS = {
    "schedule": "Learning rate and momentum of every step",
    "batch": "The first training batch, as the network gets it",
    "loss": "Training and validation loss by epoch",
    "accuracy": "Accuracy by epoch",
    "lr_find": "Loss against learning rate, a curve a seed",
    "sweep": "Each value against the one with the lowest mean loss, with its interval",
    "sweep_map": "Mean validation loss of each pair of values",
    "sweep_keys": "Loss of the runs along each key that was swept",
    "sweep_maps": "Fitted loss over pairs of keys",
    "sweep_curves": "Validation loss of the trials by epoch",
    "batch_size": "Images a second by batch size",
    "interpolation": "Loss on the line between the checkpoints",
    "plane": "Validation loss on the plane through the three checkpoints",
    "confusion": "What is taken for what: a row a class",
    "mistakes": "The images of highest loss that are taken for something else",
    "tune": "Loss of the runs along each key that was searched",
    "tune_progress": "Losses of the runs in their order, and the pairs on fresh seeds",
    "tune_maps": "Fitted loss over pairs of keys",
    "compare": "Validation losses by epoch, a colour a setting; beside them the loss that each run is judged by",
}


def words(name: str) -> str:
    """What a figure shows, in words."""
    return CAPTIONS.get(name, name.replace("_", " "))
