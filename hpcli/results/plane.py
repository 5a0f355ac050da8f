"""What the plane through three checkpoints comes to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hpcli.analysis.plane import Plane, plane_through
from hpcli.config import Config
from hpcli.recording.recorder import Record, Rows
from hpcli.recording.rows import Columns, Row, columns
from hpcli.results import Summary
from hpcli.results.html import InNotebook
from hpcli.states import BatchNorm, RunStatus

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Product(Row, table="weight_products"):
    """The inner product of two checkpoints' parameters; a checkpoint's with itself is its squared norm."""

    first: str  # a, b or c
    second: str
    product: float


@dataclass(frozen=True)
class PlanePoint(Row, table="plane"):
    """A point of the plane, in units of weight distance. Where the loss is not finite: None."""

    x: float
    y: float
    valid_loss: float | None
    valid_accuracy: float | None


@dataclass(frozen=True)
class Corner(Row, table="plane_corners"):
    """One of the three checkpoints on the plane."""

    checkpoint: str
    x: float
    y: float
    valid_loss: float | None


@dataclass(frozen=True)
class PlaneResult(InNotebook, frame="points"):
    """The validation loss on a grid, in nats; coordinates in units of weight distance."""

    status: RunStatus
    x: Array  # [n]
    y: Array  # [n]
    valid_loss: Array  # [n, n], a row a y; NaN where not finite, or not measured
    corners: tuple[Corner, ...]  # where a, b and c lie; none where the plane has not begun
    bn: BatchNorm

    @classmethod
    def from_rows(cls, config: Config, status: RunStatus, rows: Rows) -> PlaneResult:
        """From what a run has recorded so far."""
        points, corners = columns(PlanePoint, rows.rows(PlanePoint)), tuple(rows.rows(Corner))
        count = config.interpolate.plane_points
        x, y = through(rows.rows(Product)).grid(count) if corners else (np.zeros(0), np.zeros(0))
        losses = np.full(len(x) * len(y), np.nan)
        losses[: len(points["x"])] = points["valid_loss"]
        return cls(status, x, y, losses.reshape(len(y), len(x)), corners, statistics_of(config))

    @classmethod
    def from_run(cls, run: Record) -> PlaneResult:
        """From the run folder of an interpolation, or whatever else can be read like one."""
        return cls.from_rows(run.config, run.status, run)

    @property
    def has_begun(self) -> bool:
        """Whether the corners have been measured."""
        return bool(self.corners)

    @property
    def points(self) -> Columns:
        """[n · n] each: x, y and valid_loss of every point, row by row."""
        x, y = np.meshgrid(self.x, self.y)
        return {"x": x.ravel(), "y": y.ravel(), "valid_loss": self.valid_loss.ravel()}

    def summary(self) -> Summary:
        """The result in plain values."""
        finite = np.isfinite(self.valid_loss)
        lowest = None
        if finite.any():
            row, column = np.unravel_index(int(np.nanargmin(self.valid_loss)), self.valid_loss.shape)
            loss = float(self.valid_loss[row, column])
            lowest = {"x": float(self.x[column]), "y": float(self.y[row]), "valid_loss": loss}
        return {
            "points": self.valid_loss.size,
            "not_finite": int((~finite).sum()),
            "corners": {
                each.checkpoint: {"x": each.x, "y": each.y, "valid_loss": each.valid_loss} for each in self.corners
            },
            "lowest": lowest,
            "bn": self.bn,
        }


def statistics_of(config: Config) -> BatchNorm:
    """Where BatchNorm's statistics come from on the plane."""
    averaged = config.interpolate.bn == BatchNorm.INTERPOLATE.value
    return BatchNorm.INTERPOLATE if averaged else BatchNorm.RECOMPUTE


def through(products: Sequence[Product]) -> Plane:
    """The plane through A, B and C, from their inner products.

    Raises:
        ValueError: the three lie on one line, or are not finite.
    """
    return plane_through(gram(products))


def gram(products: Sequence[Product]) -> Array:
    """The inner products as a matrix, [n, n]."""
    names = sorted({each.first for each in products})
    matrix = np.zeros((len(names), len(names)))
    for each in products:
        matrix[names.index(each.first), names.index(each.second)] = each.product
    return matrix
