"""The picture of range tests: loss against learning rate, and what was read off it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from hpcli.analysis.suggestion import Suggestion
from hpcli.plots.style import (
    BLUE,
    GREEN,
    GREY,
    MARKERS,
    ORANGE,
    RED,
    legend_below,
    plain_decades,
    say_above,
    shades,
    shortened,
    styled,
)
from hpcli.results.lr_find import Curve, LRFindResult, early_overfitting

MARKS = {"valley": "v", "slide": "s", "steep": "^", "minimum": "D"}


def figures(result: LRFindResult) -> dict[str, Figure]:
    """The picture of range tests; none where no test is over."""
    return {"lr_find": lr_find(result)} if result.curves else {}


@styled
def lr_find(result: LRFindResult) -> Figure:
    """Loss against learning rate: every seed thin, the mean strong, the suggestion with its range as a band.

    The mean ends where the first seed breaks; where most do not break, it goes on without those that do. Where values
    are overlaid, a colour a value, its break dashed, and no band: they are there to be compared.
    """
    figure = Figure(figsize=(7.6, 4.4))
    axes = figure.subplots()
    which = "loss" if any(curve.valid for curve in result.curves) else "training loss"
    axes.set(xscale="log", xlabel="learning rate", ylabel=f"{which} (nats)", ylim=(_floor(result), _ceiling(result)))
    axes.axhline(result.chance_loss, color=GREY, linewidth=1, linestyle="--", zorder=1)
    axes.annotate(
        "chance", (1, result.chance_loss), xycoords=axes.get_yaxis_transform(), xytext=(3, 0),
        textcoords="offset points", va="center", color="#6b747d", fontsize=8.5,
    )  # fmt: skip
    groups = result.groups
    for number, (colour, (value, curves)) in enumerate(zip(shades(len(groups)), groups.items(), strict=True)):
        marker = MARKERS[number % len(MARKERS)] if len(groups) > 1 else ""
        _draw_curves(axes, curves, colour, _name(result, value), marker)
        blow_up_lr = result.by_value[value].blow_up_lr
        if result.varied and blow_up_lr is not None:
            axes.axvline(blow_up_lr, color=colour, linewidth=1.2, linestyle="--", zorder=2)
    _draw_valid(axes, groups, shades(len(groups)))
    found = None if result.varied else result.suggestion
    said = [] if found is None else [(f"note: {each}", "#55606b") for each in found.notes]
    if found is not None:
        if found.refused:
            said.insert(0, (found.refused, RED))
        _draw_suggestion(axes, found)
        _draw_rules(axes, found)
        _draw_overfitting(axes, result.curves)
    named = found is not None and (found.suggested_lr is not None or found.blow_up_lr is not None)
    say_above(figure, _title(result), said, from_=17 if named else 4)
    plain_decades(axes)
    legend_below(figure)
    return figure


def _title(result: LRFindResult) -> str:
    found = result.suggestion
    if result.varied:
        return f"Range tests by {result.varied_name}"
    if found is None or found.suggested_lr is None:
        return "Range test: no suggestion"
    kind = "plateau, a super-convergence candidate" if found.plateau else f"range {found.low:.2g} to {found.high:.2g}"
    return f"Range test: max_lr {found.suggested_lr:.2g}  ({kind})"


def _name(result: LRFindResult, value: str) -> str:
    """A value overlaid, and where its loss breaks; empty where nothing is varied."""
    if not result.varied:
        return ""
    curves, found = result.groups[value], result.by_value[value]
    broken = sum(curve.suggestion.blow_up_lr is not None for curve in curves)
    some = f"{broken} of {len(curves)} seeds break" if broken else "does not break"
    breaks = some if found.blow_up_lr is None else f"breaks at {found.blow_up_lr:.2g}"
    return f"{result.varied_name} {value}: {breaks}"


def _draw_curves(axes: Axes, curves: Sequence[Curve], colour: str, name: str, marker: str) -> None:
    """Raw losses faint, each seed's smoothed curve thin, their mean strong."""
    for curve in curves:
        axes.plot(curve.lr, curve.train_loss, color=GREY if not name else colour, linewidth=0.5, alpha=0.3, zorder=1)
        if len(curves) > 1:
            axes.plot(curve.lr, curve.smoothed_loss, color=colour, linewidth=0.9, alpha=0.6, zorder=2)
    longest = max(curves, key=lambda curve: len(curve.lr))
    seeds = f"mean of {len(curves)} seeds" if len(curves) > 1 else "smoothed, without lag"
    mean, every = _mean(curves, len(longest.lr)), max(1, len(longest.lr) // 14)
    shown = shortened(name, 70) or seeds
    axes.plot(longest.lr, mean, marker=marker, color=colour, lw=2.6, ms=6, markevery=every, zorder=3, label=shown)


def _draw_valid(axes: Axes, groups: Mapping[str, Sequence[Curve]], colours: Sequence[str]) -> None:
    """Both losses in evaluation mode: orange and blue, or, overlaid, in the colour of their value."""
    lines: dict[str, Any] = {
        "validation": {"linestyle": "-", "linewidth": 1.0, "marker": "o", "markersize": 2.5},
        "training, evaluated": {"linestyle": ":", "linewidth": 1.0, "marker": "o", "markersize": 2.0},
    }
    named = "#55606b" if len(groups) > 1 else None
    measured = [(colour, curve) for colour, group in zip(colours, groups.values(), strict=True) for curve in group]
    for colour, curve in measured:
        if curve.valid:
            lr, train, valid = zip(*curve.valid, strict=True)
            axes.plot(lr, valid, color=colour if named else ORANGE, **lines["validation"])
            axes.plot(lr, train, color=colour, **lines["training, evaluated"])
    if any(curve.valid for _, curve in measured):
        for (name, line), colour in zip(lines.items(), (ORANGE, BLUE), strict=True):
            axes.plot([], [], color=named or colour, label=name, **line)


def _mean(curves: Sequence[Curve], steps: int) -> NDArray[np.float64]:
    """[steps] mean over the seeds up to their first break, or, where most do not break, over those that have not."""
    together = np.full((len(curves), steps), np.nan)
    for own, curve in zip(together, curves, strict=True):
        own[: len(curve.smoothed_loss)] = curve.smoothed_loss
    go_on = np.isfinite(together).sum(0)
    broken = sum(curve.suggestion.blow_up_lr is not None for curve in curves)
    needed = len(curves) if 2 * broken > len(curves) else len(curves) - broken
    return np.where(go_on >= max(needed, 1), np.nansum(together, axis=0) / np.maximum(go_on, 1), np.nan)


def _draw_suggestion(axes: Axes, found: Suggestion) -> None:
    """Lines at the suggestion and at the break, each with its number above the frame, away from the other's."""
    if found.low is not None and found.high is not None and found.suggested_lr is not None:
        axes.axvspan(found.low, found.high, color=GREEN, alpha=0.15, linewidth=0, zorder=0)
        axes.axvline(found.suggested_lr, color=GREEN, linewidth=2, zorder=2)
        _name_above(axes, f"{found.suggested_lr:.2g}", found.suggested_lr, GREEN, "right")
    if found.blow_up_lr is not None:
        axes.axvline(found.blow_up_lr, color=RED, linewidth=1.4)
        _name_above(axes, f"breaks at {found.blow_up_lr:.2g}", found.blow_up_lr, RED, "left")


def _name_above(axes: Axes, text: str, lr: float, colour: str, side: str) -> None:
    axes.annotate(
        text, (lr, 1), xycoords=axes.get_xaxis_transform(), xytext=(2 if side == "right" else -2, 3),
        textcoords="offset points", ha=side, va="bottom", color=colour, weight="bold", fontsize=9.5,
    )  # fmt: skip


def _draw_rules(axes: Axes, found: Suggestion) -> None:
    """What other finders would say, as small marks along the lower edge."""
    transform = axes.get_xaxis_transform()
    for name, lr in found.rules.items():
        text = f"fastai {name}" + ("/10" if name == "minimum" else "")
        axes.plot(lr, 0.02, MARKS[name], color="#55606b", markersize=5, transform=transform, label=text, zorder=4)


def _draw_overfitting(axes: Axes, curves: Sequence[Curve]) -> None:
    """Where the validation loss dips and rises again at a small learning rate."""
    dip = early_overfitting(curves)
    if dip is not None:
        axes.axvline(dip, color=ORANGE, linewidth=1.6, linestyle=":", label=f"overfits from here: {dip:.2g}")


def _ceiling(result: LRFindResult) -> float:
    starts = [float(curve.smoothed_loss[0]) for curve in result.curves if np.isfinite(curve.smoothed_loss[:1]).all()]
    return 1.35 * max([result.chance_loss, *starts])


def _floor(result: LRFindResult) -> float:
    """Zero, or just below the lowest loss where the curves use only the upper part."""
    known = [curve.smoothed_loss for curve in result.curves if np.isfinite(curve.smoothed_loss).any()]
    lowest = min((float(np.nanmin(losses)) for losses in known), default=0.0)
    chance = result.chance_loss
    return 0.0 if lowest < 0.5 * chance else lowest - 0.35 * (chance - lowest) - 0.1
