"""The validation loss on the plane through three checkpoints (Garipov et al., 1802.10026, figure 1)."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hpcli.analysis.plane import plane_through
from hpcli.config import Config
from hpcli.errors import CheckpointError
from hpcli.experiments.store import MemoryStore, OnProgress, Progress, Store, columns, silent
from hpcli.training.mixture import Mixture
from hpcli.training.trainer import Evaluation, Trainer

if TYPE_CHECKING:
    from hpcli.training.mixture import Weights

OnCost = Callable[[int, float], None]
"""Told, before the plane is measured, the number of points and an estimate of the seconds they will take."""


def no_matter(points: int, seconds: float) -> None:
    """A cost that nobody asks for."""


@dataclass(frozen=True)
class PlaneResult:
    """The validation loss on a grid, in nats; coordinates in units of weight distance."""

    status: str  # finished or interrupted
    x: NDArray[np.float64]  # [n]
    y: NDArray[np.float64]  # [n]
    valid_loss: NDArray[np.float64]  # [n, n], a row a y; NaN where not finite, or not measured
    corners: dict[str, tuple[float, float]]  # where a, b and c lie
    summary: dict[str, Any]


def plane(
    config: Config,
    weights_a: Weights,
    weights_b: Weights,
    weights_c: Weights,
    *,
    store: Store | None = None,
    on_progress: OnProgress = silent,
    on_cost: OnCost = no_matter,
    device: str = "auto",
    trainer: Trainer | None = None,
) -> PlaneResult:
    """Measure the plane through A, B and C on a grid of `config.interpolate.plane_points` squared.

    BatchNorm's statistics are measured anew at every point, unless `config.interpolate.bn` is `interpolate`.

    Args:
        config: the data, the network, and the section `interpolate`.
        weights_a: A's tensors by name; A is the origin.
        weights_b: B's, on the x axis.
        weights_c: C's.
        store: where rows go; None: memory. A store that has rows already is gone on with.
        on_progress: called after every point.
        on_cost: told what it will cost before it starts, from the time that A, B and C themselves took.
        device: `auto`, `cpu`, `cuda` or `cuda:1`; not used with a `trainer`.
        trainer: use this one's data and network; its state is put back as it was.

    Raises:
        CheckpointError: checkpoints of another network, or all three on one line.
    """
    trainer, store = trainer or Trainer(config, device=device), store or MemoryStore()
    before = trainer.state_dict()
    try:
        return _measure(config, Mixture(trainer, weights_a, weights_b, weights_c), store, on_progress, on_cost)
    finally:
        trainer.load_state_dict(before)


def _measure(config: Config, mixture: Mixture, store: Store, on_progress: OnProgress, on_cost: OnCost) -> PlaneResult:
    bn = "interpolate" if config.interpolate.bn == "interpolate" else "recompute"
    try:
        through = plane_through(mixture.products())
    except ValueError as error:
        raise CheckpointError(f"{error}; --ckpt-c names one beside the line from A to B") from None

    def at(place: tuple[float, float]) -> Evaluation:
        with mixture.at(*through.coefficients(*place), bn=bn):
            return mixture.evaluate("valid")

    started = time.perf_counter()
    corners = {name: at(place).loss for name, place in through.corners.items()}
    x, y = through.grid(config.interpolate.plane_points)
    places = [(float(each_x), float(each_y)) for each_y in y for each_x in x]
    left = places[len(store.rows("plane")) :]
    on_cost(len(left), (time.perf_counter() - started) / len(corners) * len(left))
    status = _measure_all(left, at, store, on_progress)
    losses = np.full(len(places), np.nan)
    rows = columns(store.rows("plane"))
    losses[: len(rows.get("x", ()))] = rows.get("valid_loss", ())
    summary = _summary(through.corners, corners, places, losses) | {"bn": bn}
    return PlaneResult(status, x, y, losses.reshape(len(y), len(x)), through.corners, summary)


def _measure_all(
    places: list[tuple[float, float]],
    at: Callable[[tuple[float, float]], Evaluation],
    store: Store,
    on_progress: OnProgress,
) -> str:
    """A row for each place that is left; whether all were measured."""
    for index, place in enumerate(places, start=1):
        if store.should_stop():
            return "interrupted"
        found = at(place)
        finite = math.isfinite(found.loss)
        row = {"x": place[0], "y": place[1], "valid_loss": found.loss if finite else None}
        store.row("plane", {**row, "valid_accuracy": found.accuracy if finite else None}, durable=True)
        on_progress(Progress(index, len(places), found.loss))
    return "finished"


def _summary(
    corners: dict[str, tuple[float, float]],
    corner_losses: dict[str, float],
    places: list[tuple[float, float]],
    losses: NDArray[np.float64],
) -> dict[str, Any]:
    finite = np.isfinite(losses)
    lowest = int(np.nanargmin(losses)) if finite.any() else None
    return {
        "points": len(places),
        "not_finite": int((~finite).sum()),
        "corners": {
            name: {"x": x, "y": y, "valid_loss": corner_losses[name] if math.isfinite(corner_losses[name]) else None}
            for name, (x, y) in corners.items()
        },
        "lowest": None
        if lowest is None
        else {"x": places[lowest][0], "y": places[lowest][1], "valid_loss": float(losses[lowest])},
    }
