"""Evaluate weights on a part of the data: how right they are, class by class, and what they take for what."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpcli.experiments.store import MemoryStore, Store
from hpcli.training.trainer import Trainer


@dataclass(frozen=True)
class EvaluateResult:
    """What an evaluation came to, in plain numbers. Losses in nats, accuracies as fractions."""

    status: str  # finished
    classes: tuple[str, ...]
    confusion: NDArray[np.int64]  # [K, K]: images of the class of the row that were taken for the column's
    summary: dict[str, Any]


def evaluate(trainer: Trainer, split: str | None = None, *, store: Store | None = None) -> EvaluateResult:
    """Measure a trainer's model, un-augmented and in evaluation mode.

    Args:
        trainer: with the weights to measure.
        split: `train` (a sample), `valid` or `test`; None: the test images, or where there are none the validation's.
        store: where the rows, a class each, go; None: memory.

    Raises:
        DataError: there are no test images.
    """
    store = store or MemoryStore()
    split = split or ("valid" if trainer.splits.test is None else "test")
    scores = trainer.evaluate(split, by_class=True)
    confusion = np.asarray(scores.confusion)
    classes = trainer.splits.source.classes
    for label, (name, row) in enumerate(zip(classes, confusion, strict=True)):
        count, wrong = int(row.sum()), np.where(np.arange(len(row)) == label, -1, row)
        accuracy = float(row[label] / count) if count else None
        mistaken = classes[int(wrong.argmax())] if wrong.max() > 0 else None
        store.row("evaluation", {"class": name, "images": count, "accuracy": accuracy, "mistaken_for": mistaken})
    known = [(row["accuracy"], row["class"]) for row in store.rows("evaluation") if row["accuracy"] is not None]
    summary = {
        "split": split,
        "images": int(confusion.sum()),
        "loss": scores.loss,
        "accuracy": scores.accuracy,
        "top5": scores.top5,
        "best_class": max(known)[1],
        "worst_class": min(known)[1],
        "worst_class_accuracy": min(known)[0],
    }
    return EvaluateResult("finished", classes, confusion, summary)
