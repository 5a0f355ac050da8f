"""The data of a run as its folder knows them: the classes, and the number of images of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hpcli.config.schema import DataConfig
from hpcli.data.dataset import Split, Splits, entropy
from hpcli.recording.recorder import RowRecorder, Rows
from hpcli.recording.rows import Row


@dataclass(frozen=True)
class ClassImages(Row, table="classes"):
    """A class, and how many images of it there are."""

    label: int
    class_: str
    train_images: int
    valid_images: int
    test_images: int


@dataclass(frozen=True)
class DataFacts:
    """What the classes of a data set say of a run."""

    classes: tuple[ClassImages, ...]

    @classmethod
    def from_rows(cls, rows: Rows) -> DataFacts:
        """The facts that a run has recorded."""
        return cls(tuple(rows.rows(ClassImages)))

    @classmethod
    def of(cls, splits: Splits) -> DataFacts:
        """The facts of loaded images."""
        names = splits.source.classes
        parts = [_counts(part, len(names)) for part in (splits.train, splits.valid, splits.test)]
        return cls(tuple(ClassImages(label, *about) for label, about in enumerate(zip(names, *parts, strict=True))))

    def record(self, rows: RowRecorder) -> None:
        """Record the facts, unless the run has recorded them already."""
        if not rows.rows(ClassImages):
            rows.replace(ClassImages, self.classes)

    @property
    def names(self) -> tuple[str, ...]:
        """Of the classes, by label."""
        return tuple(each.class_ for each in self.classes)

    @property
    def num_train_images(self) -> int:
        """Of all classes."""
        return sum(each.train_images for each in self.classes)

    def steps_per_epoch(self, data: DataConfig) -> int:
        """Full batches in one pass over the training images, or what the config says; at least one."""
        return data.steps_per_epoch or max(1, self.num_train_images // data.batch_size)

    def chance_loss(self) -> float:
        """The loss of a network that knows the classes' frequencies and nothing else: their entropy, in nats."""
        return entropy([each.train_images for each in self.classes])


def _counts(part: Split | None, num_classes: int) -> Sequence[int]:
    return [0] * num_classes if part is None else np.bincount(part.labels, minlength=num_classes).tolist()
