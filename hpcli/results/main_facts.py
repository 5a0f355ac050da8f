"""What a run came to in its main facts, of all that its summary holds: what a list of runs has room for."""

from __future__ import annotations

from collections.abc import Mapping

from hpcli.config.varying import JOINED
from hpcli.results.facts import HIDDEN, Facts

MOST_FACTS = 3
"""Facts of a command that is not named here."""
LOSSES, ACCURACIES = ("valid_loss", "loss", "trained_loss"), ("valid_accuracy", "accuracy", "trained_accuracy")
"""Facts by which runs are put in order, whichever of them there is."""


def main_facts(module: str, summary: Facts) -> Facts:
    """The main facts of a summary, or of the part of one that a run has so far; those that are not there are left out.

    Args:
        module: of the command, as in `commands`.
        summary: plain values by name, as `summary.json` holds them.
    """
    if module == "sweep":
        return _chosen(summary)
    if module == "interpolate":
        return _between(summary)
    if module == "train":
        return _trained(summary)
    if module == "tune":
        choice = summary.get("choice")
        return {**(choice if isinstance(choice, dict) else {}), **_named(summary, "trained_loss", "trained_accuracy")}
    if module == "lr_find":
        lr = _named(summary, "suggested_lr", "suggested_lr_low", "suggested_lr_high")
        return lr or _named(summary, "refusal")
    if module == "batch_size":
        rates = summary.get("images_per_second")
        most = (
            max((each for each in rates.values() if each is not None), default=None)
            if isinstance(rates, dict)
            else None
        )
        return {**_named(summary, "enough", "largest"), **({} if most is None else {"images_per_second": most})}
    if module == "evaluate":
        return _named(summary, "split", "loss", "accuracy")
    plain = [name for name, value in summary.items() if name not in HIDDEN and isinstance(value, int | float | str)]
    return _named(summary, *[name for name in plain if name != "seconds"][:MOST_FACTS])


def _named(summary: Facts, *names: str) -> dict[str, object]:
    return {name: summary[name] for name in names if summary.get(name) is not None}


def _trained(summary: Facts) -> Facts:
    """The loss and the accuracy that a run is judged by: measured anew, where it is too short for running averages."""
    anew = {"valid_loss": summary.get("reestimated_loss"), "valid_accuracy": summary.get("reestimated_accuracy")}
    found = {**summary, **{name: value for name, value in anew.items() if value is not None}}
    return _named(found, "valid_loss", "valid_accuracy")


def _chosen(summary: Facts) -> Facts:
    """A sweep's keys and the values chosen, or that none is left to choose."""
    if "choice" not in summary:
        return {}
    keys, choice = str(summary.get("parameter")).split(JOINED), summary["choice"]
    if choice is None:
        return {"choice": "none"}
    values = choice if len(keys) > 1 and isinstance(choice, list) else [choice]
    return dict(zip(keys, values, strict=True)) if len(keys) == len(values) else {}


def _between(summary: Facts) -> Facts:
    """What lies on a line, and how high the barrier of the training loss is."""
    barrier = summary.get("barrier")
    heights = next(iter(barrier.values()), None) if isinstance(barrier, dict) else None
    height = heights.get("train") if isinstance(heights, Mapping) else None
    return {**_named(summary, "connection"), **({} if height is None else {"barrier": height})}


def first_number(facts: Facts, names: tuple[str, ...]) -> float | None:
    """The first of these facts that is a number; None: there is none."""
    return next((float(value) for name in names if isinstance(value := facts.get(name), int | float)), None)
