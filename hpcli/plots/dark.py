"""A figure for a dark page. What lies on an image, a map's own colours and the words on them, stays as it is."""

from __future__ import annotations

from typing import Any

from matplotlib.artist import Artist
from matplotlib.collections import Collection
from matplotlib.colors import to_hex, to_rgba
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.patheffects import withStroke
from matplotlib.text import Text

from hpcli.plots.colours import in_dark
from hpcli.plots.style import lying_on_images


def darken(figure: Figure) -> None:
    """Give a drawn figure the colours of a dark page, in place."""
    figure.draw_without_rendering()  # its ticks are made when they are first wanted
    kept = lying_on_images(figure)
    for artist in figure.findobj():
        if artist not in kept:
            _darken(artist)


def _darken(artist: Artist) -> None:
    if isinstance(artist, Text):
        artist.set_color(_turned(artist.get_color()))
        if artist.get_path_effects():
            artist.set_path_effects([withStroke(linewidth=3, foreground=in_dark("white"))])
    elif isinstance(artist, Line2D):
        faces = artist.get_markerfacecolor(), artist.get_markeredgecolor()
        artist.set_color(_turned(artist.get_color()))
        artist.set_markerfacecolor(_turned(faces[0]))
        artist.set_markeredgecolor(_turned(faces[1]))
    elif isinstance(artist, Patch):
        face, edge = artist.get_facecolor(), artist.get_edgecolor()
        artist.set_facecolor(_turned(face))
        artist.set_edgecolor(_turned(edge))
    elif isinstance(artist, Collection) and artist.get_array() is None:
        both = [
            (give, list(colors))
            for give, colors in (
                (artist.set_facecolor, artist.get_facecolor()),
                (artist.set_edgecolor, artist.get_edgecolor()),
            )
        ]
        for give, colors in both:
            if colors:
                give([_turned(each) for each in colors])


def _turned(color: Any) -> Any:
    """The colour in the dark; none stays none, opacity stays."""
    if isinstance(color, str) and color == "none":
        return color
    return (in_dark(to_hex(color)), to_rgba(color)[3])
