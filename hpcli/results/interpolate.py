"""What the line between two checkpoints comes to."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from hpcli.analysis.interpolation import (
    Barrier,
    Limit,
    barrier,
    connection,
    explain_nan,
    in_words,
    variance_limits,
)
from hpcli.config import Config
from hpcli.recording.recorder import Record, Rows
from hpcli.recording.rows import Columns, Row, columns
from hpcli.results import Summary
from hpcli.results.html import InNotebook
from hpcli.results.plane import PlaneResult, Product, gram
from hpcli.states import BatchNorm, Connection, RunStatus

MEASURES = ("train_loss", "train_accuracy", "valid_loss", "valid_accuracy")
ENDS = {"a": 0.0, "b": 1.0}
"""Checkpoint → its α."""


SAME_WEIGHTS = (
    "A and B have the same weights: there is no line between them. Name two checkpoints, or runs of two seeds."
)


@dataclass(frozen=True)
class Place(Row, table="interpolation"):
    """A place on the line. A loss that is not finite, and the accuracy beside it, are None."""

    alpha: float
    bn: BatchNorm
    train_loss: float | None
    train_accuracy: float | None
    valid_loss: float | None
    valid_accuracy: float | None
    rise_error: float | None  # standard error of the training loss above its chord, paired over images


@dataclass(frozen=True)
class End(Row, table="interpolation_ends"):
    """A checkpoint as it is stored, BatchNorm's statistics included."""

    checkpoint: str  # a or b
    train_loss: float
    train_accuracy: float
    train_standard_error: float  # of the loss, from how it varies over the images
    valid_loss: float
    valid_accuracy: float
    valid_standard_error: float


@dataclass(frozen=True)
class VarianceZero(Row, table="negative_variance"):
    """Where the averaged variance of a BatchNorm turns negative, on both sides of the checkpoints; None: nowhere."""

    layer: str
    below: float | None
    above: float | None


@dataclass(frozen=True)
class Average(Row, table="average"):
    """The model that was kept, at one α, its BatchNorm statistics measured anew."""

    alpha: float
    train_loss: float | None
    train_accuracy: float | None
    valid_loss: float | None
    valid_accuracy: float | None
    test_loss: float | None
    test_accuracy: float | None


@dataclass(frozen=True)
class InterpolateResult(InNotebook, frame="curves"):
    """The loss along a line and what it says, in plain numbers. Losses in nats, accuracies as fractions."""

    status: RunStatus
    config: Config
    curves: dict[BatchNorm, Columns]  # alpha and MEASURES, [n] each; NaN where not finite. The first one is judged
    ends: dict[str, End]
    products: tuple[Product, ...]  # of the checkpoints' parameters
    zeros: dict[str, tuple[float | None, float | None]]  # of `analysis.interpolation.variance_zeros`, by layer
    average: Average | None
    plane: PlaneResult | None  # through three checkpoints
    following: ClassVar[None] = None  # it leads to no command

    @classmethod
    def from_rows(cls, config: Config, status: RunStatus, rows: Rows) -> InterpolateResult:
        """From what a run has recorded so far."""
        places = rows.rows(Place)
        modes = [mode for mode in BatchNorm if any(place.bn == mode for place in places)]
        return cls(
            status=status,
            config=config,
            curves={mode: columns(Place, [place for place in places if place.bn == mode]) for mode in modes},
            ends={end.checkpoint: end for end in rows.rows(End)},
            products=tuple(rows.rows(Product)),
            zeros={each.layer: (each.below, each.above) for each in rows.rows(VarianceZero)},
            average=next(iter(rows.rows(Average)), None),
            plane=PlaneResult.from_rows(config, status, rows) if config.interpolate.ckpt_c else None,
        )

    @classmethod
    def from_run(cls, run: Record) -> InterpolateResult:
        """From a run folder, or whatever else can be read like one."""
        return cls.from_rows(run.config, run.status, run)

    @property
    def is_complete(self) -> bool:
        """Whether the line has been measured to its end."""
        return self.status == RunStatus.FINISHED or (self.plane is not None and self.plane.has_begun)

    @property
    def judged(self) -> BatchNorm:
        """The BatchNorm mode of the verdict: measured anew, unless only averages were asked for."""
        return next(iter(self.curves))

    @property
    def barriers(self) -> dict[BatchNorm, dict[str, Barrier]]:
        """Mode → `train` and `valid` → how far that loss rises above its chord."""
        return {
            mode: {split: barrier(curve["alpha"], curve[f"{split}_loss"]) for split in ("train", "valid")}
            for mode, curve in self.curves.items()
        }

    @property
    def standard_error(self) -> float:
        """Of the judged barrier of the training loss, paired over images."""
        curve, place = self.curves[self.judged], self.barriers[self.judged]["train"].alpha
        at = curve["alpha"] == place
        return float(curve["rise_error"][at][0]) if at.any() else math.nan

    @property
    def connections(self) -> dict[BatchNorm, Connection | None]:
        """Mode → whether the training loss rises noticeably between the two; None: not finite, or there is no line."""
        rows = {mode: (each["alpha"], each["train_loss"], each["rise_error"]) for mode, each in self.curves.items()}
        return {mode: None if self.is_point else connection(*columns) for mode, columns in rows.items()}

    @property
    def is_point(self) -> bool:
        """Whether A and B have the same parameters, as two names of one checkpoint: there is no line between them."""
        return _geometry(self.products)[0] == 0

    @property
    def connected(self) -> bool | None:
        """Whether the two are connected, by the judged mode; None where that is open, or not known."""
        found = self.connections[self.judged]
        return None if found in (None, Connection.OPEN) else found == Connection.CONNECTED

    @property
    def negative_variance(self) -> tuple[Limit | None, Limit | None]:
        """Where averaged variances turn negative, below A and above B, and in which layer first."""
        return variance_limits(self.zeros)

    def summary(self) -> Summary:
        """The result in plain values; empty where the line is not complete."""
        if not self.is_complete:
            return {}
        heights, limits = self.barriers, self.negative_variance
        judged = {mode: found["train"] for mode, found in heights.items()}
        best = {mode: _lowest(curve) for mode, curve in self.curves.items()}
        losses = {mode: curve["valid_loss"] for mode, curve in self.curves.items()}
        distance, cosine = _geometry(self.products)
        summary: Summary = {
            "sentence": SAME_WEIGHTS
            if self.is_point
            else in_words(judged, self.connections, self.standard_error, best[self.judged]),
            "connection": self.connections[self.judged],
            "connected": self.connected,
            "barrier": {mode: {split: _known(b.height) for split, b in two.items()} for mode, two in heights.items()},
            "barrier_alpha": {
                mode: {split: _known(b.alpha) for split, b in two.items()} for mode, two in heights.items()
            },
            "standard_error": _known(self.standard_error),
            "best_alpha": {mode: found and found[0] for mode, found in best.items()},
            "best_valid_loss": {mode: found and found[1] for mode, found in best.items()},
            "distance": distance,
            "cosine": cosine,
            "endpoints": {mode: _endpoints(curve) for mode, curve in self.curves.items()},
            "endpoint_shift": self._shift(),
            "nan": explain_nan(next(iter(self.curves.values()))["alpha"], losses, limits),
            "negative_variance": [limit and {"layer": limit.layer, "alpha": limit.alpha} for limit in limits],
            "average": None if self.average is None else _of_average(self.average),
        }
        return summary if self.plane is None else summary | {"plane": self.plane.summary()}

    def _shift(self) -> dict[str, dict[str, float | None]] | None:
        """What measuring BatchNorm's statistics anew does to the losses of A and B themselves."""
        anew = self.curves.get(BatchNorm.RECOMPUTE)
        if anew is None:
            return None
        shift = {}
        for name, alpha in ENDS.items():
            measured, end = _at(anew, alpha), self.ends[name]
            shift[name] = {
                "train": _known(measured["train_loss"] - end.train_loss),
                "valid": _known(measured["valid_loss"] - end.valid_loss),
            }
        return shift


def _at(curve: Columns, alpha: float) -> dict[str, float]:
    index = curve["alpha"].tolist().index(alpha)
    return {name: float(curve[name][index]) for name in MEASURES}


def _endpoints(curve: Columns) -> dict[str, dict[str, float | None]]:
    """A, B and the point halfway."""
    places = {"a": 0.0, "middle": 0.5, "b": 1.0}
    return {name: {key: _known(value) for key, value in _at(curve, at).items()} for name, at in places.items()}


def _lowest(curve: Columns) -> tuple[float, float] | None:
    """Where the validation loss is lowest, and that loss."""
    losses = curve["valid_loss"]
    if not np.isfinite(losses).any():
        return None
    index = int(np.nanargmin(losses))
    return float(curve["alpha"][index]), float(losses[index])


def _geometry(products: tuple[Product, ...]) -> tuple[float | None, float | None]:
    """How far A and B are apart, and the cosine of the angle between them as seen from zero; parameters alone."""
    (aa, ab), (_, bb) = gram(products)[:2, :2].tolist()
    length = math.sqrt(aa * bb)
    return _known(math.sqrt(max(aa + bb - 2 * ab, 0.0))), _known(ab / length) if length else None


def _of_average(average: Average) -> Mapping[str, float | None]:
    found = {name: getattr(average, name) for name in ("alpha", *MEASURES)}
    on_test = {"test_loss": average.test_loss, "test_accuracy": average.test_accuracy}
    return found if average.test_loss is None else found | on_test


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None
