"""Pictures of a sweep by points: what its runs tell of each key, and of pairs of keys."""

from __future__ import annotations

from matplotlib.figure import Figure

from hpcli.plots.key_maps import maps
from hpcli.plots.keys import keys
from hpcli.results.key_words import name_of
from hpcli.results.searched import Fitted


def of_points(fitted: Fitted, cycles: str) -> dict[str, Figure]:
    """All pictures of a sweep by points, by name: `sweep_keys`; of several keys also `sweep_maps`.

    Args:
        fitted: its runs.
        cycles: what they are, in words.
    """
    runs = len(fitted.searched.over)
    if not runs:
        return {}
    told = "each key" if len(fitted.space) > 1 else name_of(fitted.space[0])
    found = {"sweep_keys": keys(fitted, f"What {runs} run{'s' * (runs != 1)} of {cycles} tell of {told}")}
    if len(fitted.space) > 1 and fitted.profiles:
        found["sweep_maps"] = maps(fitted)
    return found
