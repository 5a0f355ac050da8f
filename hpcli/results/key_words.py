"""What each key of a space does, in words, by the surface through the runs in it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from hpcli.analysis.profile import Part, Profile
from hpcli.config.space import DECAY, LR, MOMENTUM, Dimension
from hpcli.config.varying import written
from hpcli.results.searched import Fitted

SHORT = {LR: "max_lr", MOMENTUM: "momentum", DECAY: "weight decay"}
ANYTHING = 1.0
"""A difference in log loss that may be larger is not put into a number."""


def name_of(dimension: Dimension) -> str:
    """A key as sentences call it."""
    return SHORT.get(dimension.key, dimension.key)


def lines(fitted: Fitted, also: Mapping[str, str] | None = None) -> list[dict[str, object]]:
    """A line for each key: the chosen value, which are as good, which are worse.

    Args:
        fitted: the runs, and what is marked.
        also: key → what is to be said of it, too.
    """
    found: list[dict[str, object]] = []
    for place, each in enumerate(fitted.space):
        profile = fitted.profiles[place] if fitted.profiles else None
        found.append(
            {
                "key": name_of(each),
                "use": None if fitted.choice is None else written(fitted.choice[each.key]),
                "what it does": None if profile is None else effect(each, profile) + (also or {}).get(each.key, ""),
            }
        )
    return found


def at_ends(fitted: Fitted) -> list[str]:
    """The chosen values that lie at an end of their range, of keys that are known to matter: which, and of what."""
    return [
        f"{name_of(each)} lies at the {end} end of {each.in_words()}"
        for place, each in enumerate(fitted.space)
        if fitted.matters(place) and (end := fitted.end_of(place))
    ]


def open_ends(fitted: Fitted) -> list[str]:
    """The chosen values that lie at an end of their range, of keys that may matter or not: a sentence, if any does."""
    names = [
        name_of(each)
        for place, each in enumerate(fitted.space)
        if fitted.end_of(place) and not fitted.matters(place) and not fitted.is_idle(place)
    ]
    if not names:
        return []
    lie = f"At the end of its range lies {names[0]}: whether it matters"
    if len(names) > 1:
        lie = f"At the ends of their ranges lie {', '.join(names[:-1])} and {names[-1]}: whether they matter"
    return [f"{lie} is not known; if so, better may lie beyond."]


def effect(dimension: Dimension, profile: Profile) -> str:
    """What a key does, in words, with its interval where something is worse."""
    parts = profile.parts
    if profile.is_idle:
        most = max(part.high for part in parts)
        return f"does not matter: at most {per_cent(math.expm1(most))} % anywhere from {dimension.in_words()}"
    if profile.is_open:
        most = max(part.high for part in parts)
        possible = f"; one of up to {per_cent(math.expm1(most))} % of the loss is possible" if most < ANYTHING else ""
        return f"no difference found{possible}"
    best = min(parts, key=lambda part: part.middle)
    if best.is_worse:  # than what there is beyond the range
        low, high = (per_cent(math.expm1(each)) for each in (best.low, best.high))
        return f"anything from {dimension.in_words()} is worse than the value to use, by {low} to {high} % at best"
    if dimension.choices:
        good = [written(dimension.choices[i]) for i, part in enumerate(parts) if not part.is_worse]
        return f"{' or '.join(good)}: no difference found; {_worst(dimension, parts)}"
    near = _around_best(parts)
    span = dimension.in_words(near[0].start, near[-1].end)
    return f"{span}: no difference found; {_worst(dimension, parts)}"


def _around_best(parts: Sequence[Part]) -> Sequence[Part]:
    """The best part, and those beside it up to the next that is surely worse: what lies beyond is merely unknown."""
    first = last = min(range(len(parts)), key=lambda place: parts[place].middle)
    while first > 0 and not parts[first - 1].is_worse:
        first -= 1
    while last + 1 < len(parts) and not parts[last + 1].is_worse:
        last += 1
    return parts[first : last + 1]


def _worst(dimension: Dimension, parts: Sequence[Part]) -> str:
    """The part that is surely worse by most."""
    worst = max(parts, key=lambda part: part.low)
    middle = worst.start if dimension.choices else (worst.start + worst.end) / 2
    low, high = (per_cent(math.expm1(each)) for each in (worst.low, worst.high))
    span = f"{low} to {high} %" if worst.high < ANYTHING else f"{low} % or more"
    return f"{written(dimension.value(middle))} is worse by {span}"


def per_cent(share: float) -> str:
    """A share in per cent, two significant digits."""
    return f"{100 * share:.0f}" if share >= 0.1 else f"{100 * share:.2g}"
