"""The picture of range tests: loss against learning rate, and what was read off it."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from hpcli.analysis.suggestion import Suggestion
from hpcli.plots.style import BLUE, GREEN, GREY, ORANGE, RED, label, plain, plain_decades, styled
from hpcli.results.lr_find import Curve, LRFindResult, early_overfitting

COLOURS = (BLUE, ORANGE, GREEN, "#7b4fa3", "#8c6d31", "#17899b")
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
    figure = Figure(figsize=(7.6, 4.6))
    axes = figure.subplots()
    which = "loss" if any(curve.valid for curve in result.curves) else "training loss"
    axes.set(xscale="log", xlabel="learning rate", ylabel=f"{which} (nats)", title=_title(result))
    ceiling = _ceiling(result)
    axes.set_ylim(_floor(result), ceiling)
    axes.axhline(result.chance_loss, color=GREY, linewidth=1, linestyle="--", zorder=1)
    left = axes.get_yaxis_transform()
    axes.text(0.005, result.chance_loss, "chance", transform=left, va="bottom", color="#6b747d", fontsize=8.5)
    for colour, (value, curves) in zip(COLOURS * 9, result.groups.items(), strict=False):
        _draw_curves(axes, curves, colour, _name(result, value))
        blow_up_lr = result.by_value[value].blow_up_lr
        if result.varied and blow_up_lr is not None:
            axes.axvline(blow_up_lr, color=colour, linewidth=1.2, linestyle="--", zorder=2)
    if result.varied is None and result.suggestion is not None:
        _draw_suggestion(axes, result.suggestion)
        _draw_rules(axes, result.suggestion)
        _draw_overfitting(axes, result.curves)
    axes.legend(loc="best", fontsize=8.5)
    plain_decades(axes)
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


def _draw_curves(axes: Axes, curves: Sequence[Curve], colour: str, name: str) -> None:
    """Raw losses faint, each seed's smoothed curve thin, their mean strong."""
    for curve in curves:
        axes.plot(curve.lr, curve.train_loss, color=GREY if not name else colour, linewidth=0.5, alpha=0.3, zorder=1)
        if len(curves) > 1:
            axes.plot(curve.lr, curve.smoothed_loss, color=colour, linewidth=0.9, alpha=0.6, zorder=2)
    longest = max(curves, key=lambda curve: len(curve.lr))
    seeds = f"mean of {len(curves)} seeds" if len(curves) > 1 else "smoothed, without lag"
    mean = _mean(curves, len(longest.lr))
    axes.plot(longest.lr, mean, color=colour, linewidth=2.6, zorder=3, label=plain(name) or seeds)
    for curve in curves:
        if curve.valid:
            lr, train, valid = zip(*curve.valid, strict=True)
            first = curve is curves[0]
            axes.plot(lr, valid, "o-", color=ORANGE, markersize=2.5, linewidth=1, label="validation" if first else None)
            axes.plot(
                lr,
                train,
                "o--",
                color=colour,
                markersize=2,
                linewidth=0.8,
                label="training, evaluated" if first else None,
            )


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
    bottom, top = axes.get_ylim()
    if found.suggested_lr is None:
        frame = {"facecolor": "white", "edgecolor": RED, "boxstyle": "round,pad=0.6"}
        text = _wrapped(f"no suggestion: {found.refused}")
        axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", color=RED, weight="bold", bbox=frame)
    elif found.low is not None and found.high is not None:
        axes.axvspan(found.low, found.high, color=GREEN, alpha=0.13, linewidth=0, zorder=0)
        axes.axvline(found.suggested_lr, color=GREEN, linewidth=2, zorder=2)
        label(axes, f"{found.suggested_lr:.2g}", (found.suggested_lr, top - 0.02 * (top - bottom)), GREEN)
    if found.blow_up_lr is not None:
        axes.axvline(found.blow_up_lr, color=RED, linewidth=1.4)
        at, text = (found.blow_up_lr, top), f"breaks at {found.blow_up_lr:.2g} "
        axes.text(*at, text, ha="right", va="top", rotation=90, color=RED)
    if found.notes:
        text = _wrapped("note: " + "; ".join(found.notes), 90)
        axes.text(0.01, 0.99, text, transform=axes.transAxes, va="top", fontsize=8.5)


def _draw_rules(axes: Axes, found: Suggestion) -> None:
    """What other finders would say, as small marks along the lower edge."""
    transform = axes.get_xaxis_transform()
    for name, lr in found.rules.items():
        text = f"fastai {name}" + ("/10" if name == "minimum" else "")
        axes.plot(lr, 0.02, MARKS[name], color="#55606b", markersize=5, transform=transform, label=text)


def _draw_overfitting(axes: Axes, curves: Sequence[Curve]) -> None:
    """Where the validation loss dips and rises again at a small learning rate."""
    dip = early_overfitting(curves)
    if dip is not None:
        axes.axvline(dip, color=ORANGE, linewidth=1.2, linestyle=":")
        middle = axes.get_xaxis_transform()
        axes.text(dip, 0.5, "overfits from here ", transform=middle, ha="right", va="center", rotation=90, color=ORANGE)


def _ceiling(result: LRFindResult) -> float:
    starts = [float(curve.smoothed_loss[0]) for curve in result.curves if np.isfinite(curve.smoothed_loss[:1]).all()]
    return 1.35 * max([result.chance_loss, *starts])


def _floor(result: LRFindResult) -> float:
    """Zero, or just below the lowest loss where the curves use only the upper part."""
    known = [curve.smoothed_loss for curve in result.curves if np.isfinite(curve.smoothed_loss).any()]
    lowest = min((float(np.nanmin(losses)) for losses in known), default=0.0)
    chance = result.chance_loss
    return 0.0 if lowest < 0.5 * chance else lowest - 0.35 * (chance - lowest) - 0.1


def _wrapped(text: str, width: int = 60) -> str:
    return "\n".join(textwrap.wrap(text, width))
