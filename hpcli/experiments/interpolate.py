"""The loss on the line between two checkpoints (1702.04283, section 4), the weights' part told from BatchNorm's."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hpcli.analysis.line import barrier, explain_nan, in_words, is_connected, variance_limits
from hpcli.config import Config
from hpcli.config.interpolation import parse_alphas
from hpcli.errors import CheckpointError
from hpcli.experiments.store import Columns, MemoryStore, OnProgress, Progress, Row, Store, columns, silent
from hpcli.training.mixture import Mixture
from hpcli.training.trainer import Evaluation, Trainer

if TYPE_CHECKING:
    from hpcli.training.mixture import Weights

MEASURES = ("train_loss", "train_accuracy", "valid_loss", "valid_accuracy")
SAME = 1e-3
"""Relative difference of a loss up to which a resumed line is the same line; another GPU may round differently."""


@dataclass(frozen=True)
class InterpolationResult:
    """The loss along a line and what it says, in plain numbers. Losses in nats, accuracies as fractions."""

    status: str  # finished or interrupted
    curves: dict[str, Columns]  # BatchNorm mode → alpha and MEASURES, [n] each; NaN where not finite
    summary: dict[str, Any]  # empty where interrupted


def interpolate(
    config: Config,
    weights_a: Weights,
    weights_b: Weights,
    *,
    store: Store | None = None,
    on_progress: OnProgress = silent,
    device: str = "auto",
    trainer: Trainer | None = None,
) -> InterpolationResult:
    """Measure w(α) = (1−α)·A + α·B at every α of `config.interpolate`.

    The training loss is measured on the fixed sample of un-augmented training images that `train` measures
    `train_eval_loss` on, so at α = 0 and 1, with BatchNorm's statistics as they are stored, both losses are those of
    the run's own metrics.

    Args:
        config: the data, the network, and the section `interpolate`.
        weights_a: A's tensors by name, as `run_dir.load_weights` reads them.
        weights_b: B's.
        store: where rows go, and the model of `save_average` as a checkpoint `average`; None: memory. A store that has
            rows already is gone on with.
        on_progress: called after every measurement.
        device: `auto`, `cpu`, `cuda` or `cuda:1`; not used with a `trainer`.
        trainer: use this one's data and network; its state is put back as it was.

    Raises:
        CheckpointError: checkpoints of another network, or others than those of the rows that are there already.
    """
    trainer = trainer or Trainer(config, device=device)
    before = trainer.state_dict()
    try:
        return _Line(config, Mixture(trainer, weights_a, weights_b), store or MemoryStore(), on_progress).result()
    finally:
        trainer.load_state_dict(before)


class _Line:
    """Measures place by place, a row each, and judges."""

    def __init__(self, config: Config, mixture: Mixture, store: Store, on_progress: OnProgress) -> None:
        self.config, self.mixture, self.store, self.on_progress = config.interpolate, mixture, store, on_progress
        self.alphas = parse_alphas(self.config.alphas)
        self.modes: tuple[str, ...] = (self.config.bn,)
        if self.config.bn == "both":
            self.modes = ("recompute", "interpolate") if mixture.norms else ("interpolate",)  # else they are the same
        self.own = {alpha: self._evaluated(alpha, "interpolate") for alpha in (0.0, 1.0)}  # A and B as they are stored

    def result(self) -> InterpolationResult:
        """All rows, those of an earlier process included, and what they say."""
        status = self._measure_all()
        rows = self.store.rows("interpolation")
        curves = {bn: columns([row for row in rows if row["bn"] == bn]) for bn in self.modes}
        return InterpolationResult(status, curves, self._summary(curves) if status == "finished" else {})

    def _measure_all(self) -> str:
        places = [(alpha, bn) for alpha in self.alphas for bn in self.modes]
        done = self.store.rows("interpolation")
        self._check(done)
        for index, (alpha, bn) in enumerate(places[len(done) :], start=len(done) + 1):
            if self.store.should_stop():
                return "interrupted"
            row = self._row(alpha, bn)
            self.store.row("interpolation", row, durable=True)
            self.on_progress(Progress(index, len(places), _float(row["valid_loss"])))
        return "finished"

    def _check(self, done: list[dict[str, Any]]) -> None:
        """Measure a known place again: the checkpoints or the data may have changed since."""
        known = next((row for row in done if row["valid_loss"] is not None), None)
        if known is None:
            return
        now = _float(self._row(known["alpha"], known["bn"])["valid_loss"])
        if not math.isclose(now, known["valid_loss"], rel_tol=SAME, abs_tol=1e-6):
            raise CheckpointError(
                f"at α = {known['alpha']:g} the validation loss is {now:.6g}, it was {known['valid_loss']:.6g}: "
                "the checkpoints or the data have changed since; start anew"
            )

    def _row(self, alpha: float, bn: str) -> Row:
        as_stored = alpha in self.own and bn == "interpolate"
        train, valid = self.own[alpha] if as_stored else self._evaluated(alpha, bn)
        return {"alpha": alpha, "bn": bn, **_measures("train", train), **_measures("valid", valid)}

    def _evaluated(self, alpha: float, bn: str) -> tuple[Evaluation, Evaluation]:
        with self.mixture.at(1 - alpha, alpha, bn=bn):
            return self.mixture.evaluate("train"), self.mixture.evaluate("valid")

    def _summary(self, curves: dict[str, Columns]) -> dict[str, Any]:
        heights = {
            bn: {split: barrier(curve["alpha"], curve[f"{split}_loss"]) for split in ("train", "valid")}
            for bn, curve in curves.items()
        }
        judged = {bn: found["train"] for bn, found in heights.items()}
        best = {bn: _lowest(curve) for bn, curve in curves.items()}
        error = max(train.standard_error for train, _ in self.own.values())
        limits = variance_limits(self.mixture.variances())
        return {
            "sentence": in_words(judged, error, best[self.modes[0]]),
            "connected": is_connected(judged[self.modes[0]].height, error),
            "barrier": {bn: {split: _known(each.height) for split, each in two.items()} for bn, two in heights.items()},
            "barrier_alpha": {
                bn: {split: _known(each.alpha) for split, each in two.items()} for bn, two in heights.items()
            },
            "standard_error": _known(error),
            "best_alpha": {bn: found and found[0] for bn, found in best.items()},
            "best_valid_loss": {bn: found and found[1] for bn, found in best.items()},
            **_geometry(self.mixture),
            "endpoints": {bn: _endpoints(curve) for bn, curve in curves.items()},
            "endpoint_shift": self._shift(curves["recompute"]) if "recompute" in curves else None,
            "nan": explain_nan(self.alphas, {bn: curve["valid_loss"] for bn, curve in curves.items()}, limits),
            "negative_variance": [limit and {"layer": limit.layer, "alpha": limit.alpha} for limit in limits],
            "average": None if self.config.save_average is None else self._save_average(self.config.save_average),
        }

    def _shift(self, recomputed: Columns) -> dict[str, dict[str, float | None]]:
        """What measuring BatchNorm's statistics anew does to the losses of A and B themselves."""
        shift = {}
        for name, alpha in (("a", 0.0), ("b", 1.0)):
            row = _at(recomputed, alpha)
            train, valid = self.own[alpha]
            shift[name] = {
                "train": _known(row["train_loss"] - train.loss),
                "valid": _known(row["valid_loss"] - valid.loss),
            }
        return shift

    def _save_average(self, alpha: float) -> dict[str, float | None]:
        """Keep the model at `alpha`, BatchNorm's statistics measured anew, and measure it."""
        found: dict[str, float | None] = {"alpha": alpha}
        splits = ("train", "valid") if self.mixture.trainer.splits.test is None else ("train", "valid", "test")
        with self.mixture.at(1 - alpha, alpha, bn="recompute"):
            for split in splits:
                found |= _measures(split, self.mixture.evaluate(split))
            state = {**self.mixture.trainer.state_dict(), "is_fresh": False}
        self.store.save({"trainer": state}, step=0, labels=("average",))
        return found


def _measures(split: str, found: Evaluation) -> dict[str, float | None]:
    """Loss and accuracy; where the loss is not finite, neither means anything."""
    finite = math.isfinite(found.loss)
    return {f"{split}_loss": found.loss if finite else None, f"{split}_accuracy": found.accuracy if finite else None}


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


def _geometry(mixture: Mixture) -> dict[str, float | None]:
    """How far A and B are apart, and the cosine of the angle between them as seen from zero; parameters alone."""
    products = mixture.products()
    (aa, ab), (_, bb) = products[:2, :2].tolist()
    length = math.sqrt(aa * bb)
    return {
        "distance": _known(math.sqrt(max(aa + bb - 2 * ab, 0.0))),
        "cosine": _known(ab / length) if length else None,
    }


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _float(value: float | str | None) -> float:
    return math.nan if value is None else float(value)
