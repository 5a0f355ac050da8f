"""The data of a run as its folder and its weights know them: the classes, their images counted, and what these are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass

import numpy as np

from hpcli.config.schema import DataConfig
from hpcli.data.dataset import Split, Splits
from hpcli.data.decode import ImageFormat, White
from hpcli.data.statistics import entropy
from hpcli.errors import ConfigError, DataError
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
class PartImages(Row, table="data"):
    """A part of the data, how many images it has, and which: see `data.fingerprint`."""

    part: str
    images: int
    sha256: str


NAMED = 3
"""So many classes are named where they differ."""


@dataclass(frozen=True)
class DataFacts:
    """What the data of a run are: their classes, and the images of each part."""

    classes: tuple[ClassImages, ...]
    parts: tuple[PartImages, ...] = ()  # none where it is not known
    mean: tuple[float, ...] = ()  # a channel, of pixels in [0, 1]: what a network's images are normalised by
    std: tuple[float, ...] = ()
    size: tuple[int, int] | None = None  # of the images, height and width; None: not known
    white: White | None = None  # of files of more than 8 bits; None: there were none, or it is not known
    share: float | None = None  # `data.train_fraction` that these are, where runs may have others; None: they have not

    @classmethod
    def from_rows(cls, rows: Rows, share: float | None = None) -> DataFacts:
        """The facts that a run has recorded."""
        return cls(tuple(rows.rows(ClassImages)), tuple(rows.rows(PartImages)), share=share)

    @classmethod
    def from_plain(cls, plain: object) -> DataFacts | None:
        """The facts that weights carry; None: they carry none."""
        try:
            classes = [ClassImages(*each) for each in plain["classes"]]  # type: ignore[index]
            parts = [PartImages(*each) for each in plain["parts"]]  # type: ignore[index]
            mean, std = (tuple(map(float, plain[each])) for each in ("mean", "std"))  # type: ignore[index]
            size, white = ([int(each) for each in plain.get(key) or ()] for key in ("size", "white"))  # type: ignore[attr-defined]
        except (TypeError, KeyError, ValueError, AttributeError):
            return None
        known = (size[0], size[1]) if len(size) == 2 else None
        return cls(tuple(classes), tuple(parts), mean, std, known, White(*white) if len(white) == 2 else None)

    def plain(self) -> Mapping[str, object]:
        """The facts in plain values, for weights to carry."""
        tables = {name: [list(astuple(each)) for each in getattr(self, name)] for name in ("classes", "parts")}
        files = {"size": self.size and list(self.size), "white": self.white and list(astuple(self.white))}
        return {**tables, "mean": list(self.mean), "std": list(self.std), **files}

    @classmethod
    def of(cls, splits: Splits, share: float | None = None) -> DataFacts:
        """The facts of loaded images."""
        names, size = splits.source.classes, splits.train.images.shape[1:3]
        parts = [_counts(part, len(names)) for part in (splits.train, splits.valid, splits.test)]
        counts = dict(zip(("train", "valid", "test"), map(sum, parts), strict=True))
        return cls(
            tuple(ClassImages(label, *about) for label, about in enumerate(zip(names, *parts, strict=True))),
            tuple(PartImages(part, counts[part], sha256) for part, sha256 in splits.fingerprints.items()),
            splits.source.mean,
            splits.source.std,
            None if 0 in size else size,
            splits.source.white,
            share,
        )

    def record(self, rows: RowRecorder) -> None:
        """Record the facts. Of a run that has recorded them they are the same, but a file may have been damaged."""
        rows.replace(ClassImages, self.classes)
        rows.replace(PartImages, self.parts)

    def check_unchanged(self, rows: Rows) -> None:
        """Check that a run which has recorded its facts is gone on with on the same images.

        Raises:
            DataError: on others; what differs is named.
        """
        before = self.from_rows(rows)
        change = (before.other_classes(self.names) or self.change_since(before)) if before.classes else None
        if change is not None:
            raise DataError(
                f"the data have changed since the run began (its classes.csv, data.csv): {change}; restore them, or "
                "start a new run"
            )

    def other_classes(self, names: Sequence[str]) -> str | None:
        """In what the classes `names` of some data differ from these, in words; None: in nothing."""
        gone = [each for each in self.names if each not in names]
        new = [each for each in names if each not in self.names]
        if gone or new:
            verbs = " and ".join(f"{verb} {_listed(each)}" for verb, each in (("lack", gone), ("have", new)) if each)
            return f"the data {verbs} ({len(names)} classes now, {len(self.names)} then)"
        is_same = tuple(names) == self.names
        return None if is_same else f"their order is {_listed(names)} now, {_listed(self.names)} then"

    def change_since(self, before: DataFacts) -> str | None:
        """In what the images differ from those before, in words; None: in nothing, as far as is known."""
        known = {each.part: each for each in before.parts}
        counts, then = self._images(), before._images()
        if sum(counts.values()) != sum(then.values()):
            return f"{sum(counts.values())} images now, {sum(then.values())} then"
        for part, count in counts.items():
            if count != then[part]:
                return f"{count} {part} images now, {then[part]} then"
        for now in self.parts:
            if now.part in known and known[now.part].sha256 != now.sha256:
                return f"other {now.part} images, though as many ({now.images})"
        return None

    def _images(self) -> dict[str, int]:
        """Part → the number of its images."""
        return {
            "train": sum(each.train_images for each in self.classes),
            "valid": sum(each.valid_images for each in self.classes),
            "test": sum(each.test_images for each in self.classes),
        }

    @property
    def names(self) -> tuple[str, ...]:
        """Of the classes, by label."""
        return tuple(each.class_ for each in self.classes)

    @property
    def format(self) -> ImageFormat | None:
        """What the images are decoded to; None: not known."""
        return ImageFormat(len(self.mean), self.size, self.white) if self.mean else None

    @property
    def num_train_images(self) -> int:
        """Of all classes."""
        return sum(each.train_images for each in self.classes)

    def train_images_of(self, data: DataConfig) -> int:
        """Of a run with this config, which may have a share of its own."""
        parts = 1.0 if self.share is None else data.train_fraction / self.share
        return round(self.num_train_images * parts)

    def steps_per_epoch(self, data: DataConfig) -> int:
        """Full batches in one pass over the training images, or what the config says; at least one."""
        return data.steps_per_epoch or max(1, self.train_images_of(data) // data.batch_size)

    def chance_loss(self) -> float:
        """The loss of a network that knows the classes' frequencies and nothing else: their entropy, in nats."""
        return entropy([each.train_images for each in self.classes])


def check_batch_size(size: int, images: int) -> None:
    """Check a value of `data.batch_size`, or of what there are fewer images by.

    Raises:
        ConfigError: it is larger than the training images are many.
    """
    if size > images:
        raise ConfigError(f"data.batch_size: {size} is more than the {images} training images; lower it")


def _counts(part: Split | None, num_classes: int) -> Sequence[int]:
    return [0] * num_classes if part is None else np.bincount(part.labels, minlength=num_classes).tolist()


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:NAMED]) + (", …" if len(names) > NAMED else "")
