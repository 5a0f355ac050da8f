"""The kept tables of Smith's experiments, as arrays."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

KEPT = Path(__file__).parent / "results/papers"

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Sweep:
    """k values, S seeds: losses in nats, accuracies as shares."""

    values: tuple[str, ...]
    losses: Array  # [k, S]
    accuracies: Array  # [k, S]

    def only(self, *values: str) -> Sweep:
        """Some of the values, in this order."""
        places = [self.values.index(each) for each in values]
        return Sweep(values, self.losses[places], self.accuracies[places])


@dataclass(frozen=True)
class Curves:
    """Validation by epoch of a value's S trials."""

    steps: Array  # [E], taken by the end of each epoch
    losses: Array  # [S, E]
    accuracy: Array  # [S, E]


@dataclass(frozen=True)
class Range:
    """Range tests of a value: S seeds, N steps. NaN where a test had ended."""

    lr: Array  # [N]
    raw: Array  # [S, N], each step's training loss
    smoothed: Array  # [S, N]


@dataclass(frozen=True)
class Line:
    """Losses between two networks at every α."""

    alpha: Array
    anew: Array  # training loss, BatchNorm's statistics measured anew
    averaged: Array  # averaged like the weights
    valid: Array  # validation loss, measured anew


def is_kept(name: str) -> bool:
    """Whether an experiment has been run: what its commands printed is there."""
    return (KEPT / f"{name}.txt").is_file()


def chosen_rate(name: str, value: str) -> str:
    """The learning rate that `NAME-sweep_retune.csv` chose for a value, and whether it is the last that was tried."""
    tried = [row for row in rows(f"{name}-sweep_retune") if row["value"].startswith(f"{value} & ")]
    losses: dict[float, list[float]] = {}
    for row in tried:
        rate = float(row["value"].rpartition(" & ")[2])
        losses.setdefault(rate, []).append(number(row["valid_loss"]) if row["status"] == "finished" else np.inf)
    best = min(losses, key=lambda rate: float(np.mean(losses[rate])))
    edge = " (the lowest tried)" if best == min(losses) else " (the highest tried)" if best == max(losses) else ""
    return f"{best:g}{edge}"


def rows(name: str) -> list[dict[str, str]]:
    """A kept table."""
    with (KEPT / f"{name}.csv").open(newline="") as file:
        return list(csv.DictReader(line for line in file if line[0] != "#"))


def made(name: str) -> str:
    """When and where a table was made."""
    with (KEPT / f"{name}.csv").open() as file:
        return file.readline()[2:].strip()


def number(text: str) -> float:
    """A cell; NaN where it is empty."""
    return float(text) if text else float("nan")


def sweep(name: str) -> Sweep:
    """Of `NAME-sweep.csv`."""
    table = rows(f"{name}-sweep")
    values = tuple(dict.fromkeys(row["value"] for row in table))
    by_value = [[row for row in table if row["value"] == value] for value in values]

    def column(key: str) -> Array:
        return np.array([[number(row[key]) for row in sorted(each, key=_seed)] for each in by_value])

    return Sweep(values, column("valid_loss"), column("valid_accuracy"))


def curves(name: str) -> dict[str, Curves]:
    """Of `NAME-curves.csv`, by value."""
    value_of = {row["trial"]: row["value"] for row in rows(f"{name}-sweep")}
    table = [row for row in rows(f"{name}-curves") if row["trial"] in value_of]
    found = {}
    for value in dict.fromkeys(value_of.values()):
        trials = [trial for trial, its in value_of.items() if its == value]
        own = [[row for row in table if row["trial"] == trial] for trial in trials]
        found[value] = Curves(
            np.array([number(row["step"]) for row in own[0]]),
            *(
                np.array([[number(row[key]) for row in each] for each in own])
                for key in ("valid_loss", "valid_accuracy")
            ),
        )
    return found


def ranges(*names: str) -> dict[str, Range]:
    """Of `NAME-lr_find.csv`, by value; of several, whose seeds belong together."""
    table = [row for name in names for row in rows(f"{name}-lr_find")]
    return {
        value: _range([row for row in table if row["value"] == value])
        for value in dict.fromkeys(row["value"] for row in table)
    }


def _range(table: Sequence[dict[str, str]]) -> Range:
    by_seed = {
        seed: [row for row in table if row["seed"] == seed] for seed in dict.fromkeys(row["seed"] for row in table)
    }
    longest = max(by_seed.values(), key=len)
    raw, smoothed = np.full((2, len(by_seed), len(longest)), np.nan)
    for place, own in enumerate(by_seed.values()):
        raw[place, : len(own)] = [number(row["train_loss"]) for row in own]
        smoothed[place, : len(own)] = [number(row["smoothed_loss"]) for row in own]
    return Range(np.array([number(row["lr"]) for row in longest]), raw, smoothed)


def line(name: str) -> Line:
    """Of `NAME-interpolation.csv`."""
    anew, averaged = (
        [row for row in rows(f"{name}-interpolation") if row["bn"] == bn] for bn in ("recompute", "interpolate")
    )

    def column(table: Sequence[dict[str, str]], key: str) -> Array:
        return np.array([number(row[key]) for row in table])

    return Line(
        column(anew, "alpha"), column(anew, "train_loss"), column(averaged, "train_loss"), column(anew, "valid_loss")
    )


def _seed(row: dict[str, str]) -> int:
    return int(row["seed"])
