"""Runs side by side: what their settings differ in, what each came to, and what of that is more than noise."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue

from hpcli.recording.rows import Columns
from hpcli.results.data import DataFacts
from hpcli.results.foreign_verdict import ForeignVerdict
from hpcli.runs.differing import Values
from hpcli.runs.glance import Glance
from hpcli.states import RunStatus

IMAGES = "training images"
"""Stands with the keys where runs of one config were trained on other images."""
_SAYS_IMAGES = frozenset(
    ("data.name", "data.image_size", "data.train_fraction", "data.validation", "data.split_seed", "data.valid_limit")
)
"""Keys whose values say why the images are others."""


@dataclass(frozen=True)
class Trained:
    """A training run as it is compared."""

    glance: Glance
    seed: int
    values: Mapping[str, JsonValue]  # of every key that changes what it comes to, but for the seed
    data: DataFacts
    epochs: Columns  # metrics.csv
    why_not: str = ""  # why it is not judged with the others; empty: it is

    @property
    def loss(self) -> float:
        """The validation loss that it is judged by; infinite: it diverged, NaN: there is none."""
        if self.glance.status == RunStatus.DIVERGED:
            return math.inf
        return math.nan if self.glance.loss is None else self.glance.loss

    @property
    def length(self) -> tuple[JsonValue, ...]:
        """What makes runs equally long: epochs, and how many steps count as one."""
        return self.values["train.epochs"], self.values["data.steps_per_epoch"]


@dataclass(frozen=True)
class Setting:
    """The judged runs of one setting, which differ in their seeds."""

    name: str
    values: Values  # of the keys in which settings differ
    runs: tuple[Trained, ...]  # a seed each

    @property
    def losses(self) -> NDArray[np.float64]:
        """[S] losses, a seed each."""
        return np.array([run.loss for run in self.runs])

    @property
    def mean(self) -> float:
        """Of the losses; infinite where a run diverged."""
        return float(self.losses.mean())

    @property
    def standard_error(self) -> float | None:
        """Of the mean, by the deviation between its seeds; None: of one seed, or of a run that diverged."""
        known = len(self.runs) > 1 and np.isfinite(self.losses).all()
        return float(self.losses.std(ddof=1)) / math.sqrt(len(self.runs)) if known else None

    @property
    def accuracy(self) -> float | None:
        """The mean, as a fraction."""
        found = [run.glance.accuracy for run in self.runs if run.glance.accuracy is not None]
        return float(np.mean(found)) if found and math.isfinite(self.mean) else None


@dataclass(frozen=True)
class Comparison:
    """Runs side by side."""

    trained: tuple[Trained, ...]  # training runs on the same validation images; fewer than two: none
    settings: tuple[Setting, ...]  # of those that are judged, the lowest mean first
    others: Mapping[str, tuple[Glance, ...]]  # command → its runs, which are shown by their main facts
    apart: tuple[tuple[str, str], ...]  # a run or a folder, and why it cannot be compared with the others
    found: ForeignVerdict | None  # None: fewer than two settings have two seeds
    notes: tuple[str, ...]

    @property
    def runs(self) -> tuple[Glance, ...]:
        """All runs that are shown."""
        return (*(run.glance for run in self.trained), *(run for each in self.others.values() for run in each))

    @property
    def is_any(self) -> bool:
        """Whether any two runs are compared."""
        return bool(self.trained) or any(len(each) > 1 for each in self.others.values())

    @cached_property
    def keys(self) -> tuple[str, ...]:
        """The keys in which training runs differ, but for the seed."""
        return differing_keys([run.values for run in self.trained])

    @property
    def chance(self) -> float:
        """The loss of a network that has learnt nothing, in nats; NaN: there are no training runs."""
        return self.trained[0].data.chance_loss() if self.trained else math.nan


def differing_keys(every: Sequence[Values]) -> tuple[str, ...]:
    """The keys whose values are not the same in all; the images themselves only where no key says it."""
    keys = every[0].keys() if every else ()
    found = [key for key in keys if any(each[key] != every[0][key] for each in every)]
    return tuple(key for key in found if key != IMAGES or _SAYS_IMAGES.isdisjoint(found))
