"""What an evaluation comes to."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from hpcli.config import Config
from hpcli.errors import CheckpointError
from hpcli.recording.recorder import Record, Rows
from hpcli.recording.rows import Row
from hpcli.results import Summary
from hpcli.results.data import DataFacts
from hpcli.results.html import InNotebook
from hpcli.states import RunStatus

Counts = NDArray[np.int64]
Images = NDArray[np.uint8]
MISTAKES = "mistakes"
"""The name of the arrays with the images of the table of mistakes."""


@dataclass(frozen=True)
class ClassScore(Row, table="evaluation"):
    """A class: how many of its images are right, and what the others are taken for most."""

    class_: str
    images: int
    accuracy: float | None  # None: there are no images of it
    mistaken_for: str | None  # None: all are right


@dataclass(frozen=True)
class Guess(Row, table="confusion"):
    """How many images of a class are taken for a class; pairs that never occur have no row."""

    class_: str
    taken_for: str
    images: int
    label: int
    guess: int


@dataclass(frozen=True)
class Score(Row, table="score"):
    """All images of the evaluated part together."""

    split: str
    images: int
    loss: float
    accuracy: float
    top5: float


@dataclass(frozen=True)
class Mistake(Row, table="mistakes"):
    """An image that is taken for something else; the highest loss comes first."""

    image: int  # its place in the evaluated part, from 0
    class_: str
    taken_for: str
    probability: float  # that the network gives what it takes it for
    loss: float


@dataclass(frozen=True)
class EvaluateResult(InNotebook, frame="scores"):
    """An evaluation in plain numbers. Losses in nats, accuracies as fractions."""

    status: RunStatus
    config: Config | None  # None: a trainer was measured
    classes: tuple[str, ...]
    confusion: Counts  # [K, K]: images of the class of the row that were taken for the column's
    scores: tuple[ClassScore, ...]
    score: Score | None  # None: not finished
    mistakes: tuple[Mistake, ...] = ()  # M, those of highest loss
    mistaken_images: Images | None = None  # [M, H, W, C], theirs; None: there are none
    following: ClassVar[None] = None  # it leads to no command

    @classmethod
    def from_rows(cls, config: Config | None, status: RunStatus, rows: Rows) -> EvaluateResult:
        """From what a run has recorded so far."""
        classes = DataFacts.from_rows(rows).names
        confusion = np.zeros((len(classes), len(classes)), np.int64)
        for each in rows.rows(Guess):
            confusion[each.label, each.guess] = each.images
        score = next(iter(rows.rows(Score)), None)
        mistakes = tuple(rows.rows(Mistake))
        images = _images_of(rows, len(mistakes))
        return cls(status, config, classes, confusion, tuple(rows.rows(ClassScore)), score, mistakes, images)

    @classmethod
    def from_run(cls, run: Record) -> EvaluateResult:
        """From a run folder, or whatever else can be read like one."""
        return cls.from_rows(run.config, run.status, run)

    def summary(self) -> Summary:
        """The result in plain values."""
        if self.score is None:
            return {}
        known = [(each.accuracy, each.class_) for each in self.scores if each.accuracy is not None]
        not_a_number = {"sentence": "The loss is not a finite number: the accuracy means nothing."}
        return {
            "sentence": self._sentence(self.score, min(known)),
            **({} if math.isfinite(self.score.loss) else not_a_number),
            "split": self.score.split,
            "images": self.score.images,
            "loss": self.score.loss,
            "accuracy": self.score.accuracy,
            "top5": self.score.top5,
            "best_class": max(known)[1],
            "worst_class": min(known)[1],
            "worst_class_accuracy": min(known)[0],
        }

    def _sentence(self, score: Score, worst: tuple[float, str]) -> str:
        """How good the network is, in words."""
        among = f", {score.top5:.1%} are among its first five" if len(self.classes) > 5 else ""
        return (
            f"{score.accuracy:.1%} of {score.images:,} {SPLIT_WORDS[score.split]} images are right{among}; the loss is "
            f"{score.loss:.3g}. Hardest is {worst[1]}, {worst[0]:.1%}."
        )


SPLIT_WORDS = {"train": "training", "valid": "validation", "test": "test"}
"""What the images of a split are called in a sentence."""


def _images_of(rows: Rows, count: int) -> Images | None:
    """The pictures of so many mistakes.

    Raises:
        CheckpointError: what is kept is something else.
    """
    arrays = rows.arrays(MISTAKES)
    if arrays is None:
        return None
    images = arrays.get("images")
    if images is None or images.dtype != np.uint8 or images.ndim != 4 or len(images) != count:
        raise CheckpointError(f"{MISTAKES}.npz: damaged, it does not hold the images of mistakes.csv; delete it")
    return images  # type: ignore[return-value]


def class_scores(confusion: Counts, classes: tuple[str, ...]) -> Iterable[ClassScore]:
    """A row a class.

    Args:
        confusion: [K, K] counts.
        classes: K names.
    """
    for label, (name, row) in enumerate(zip(classes, confusion, strict=True)):
        count, wrong = int(row.sum()), np.where(np.arange(len(row)) == label, -1, row)
        accuracy = float(row[label] / count) if count else None
        yield ClassScore(name, count, accuracy, classes[int(wrong.argmax())] if wrong.max() > 0 else None)


def guesses(confusion: Counts, classes: tuple[str, ...]) -> Iterable[Guess]:
    """A row for each pair of classes that occurs."""
    for label, guess in np.argwhere(confusion).tolist():
        yield Guess(classes[label], classes[guess], int(confusion[label, guess]), label, guess)
