"""A data set in memory, and how it is divided. Plain numpy: nothing here knows of devices.

Letters: N images, H × W pixels, C channels, K classes.
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hpcli import catalog
from hpcli.config import Config
from hpcli.data.decode import ImageFormat, OnDecode, White, silent
from hpcli.data.fingerprint import fingerprint
from hpcli.data.mapped import release_pages, taken
from hpcli.data.randomness import SAMPLE, SPLIT, shuffled, stratified
from hpcli.data.statistics import channel_statistics, entropy
from hpcli.errors import ConfigError, DataError, HpcliWarning

HELD_OUT = 0.1
"""Share of the training images that validates where nothing else is said."""
IMBALANCE = 10
"""A class with so many times the images of another is worth a warning."""


class Split(NamedTuple):
    """Some images with their labels."""

    images: NDArray[np.uint8]  # [N, H, W, C]
    labels: NDArray[np.int64]  # [N], in [0, K)

    def take(self, index: NDArray[np.int64]) -> Split:
        """The images at `index`, in that order."""
        return Split(taken(self.images, index), self.labels[index])

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class ImageData:
    """What a data set's function returns: all its images, before anything is held out. `train` is all it takes."""

    train: Split
    test: Split | None = None  # what is reported on, once, at the end
    classes: tuple[str, ...] = ()  # none: the labels are their names, 0, 1 …
    mean: tuple[float, ...] = ()  # a channel, of pixels in [0, 1]; none: of the training images
    std: tuple[float, ...] = ()
    flip: bool = False  # a mirrored image still belongs to its class
    valid: Split | None = None  # a validation part of its own
    white: White | None = None  # of files of more than 8 bits; see `decode`

    def completed(self) -> ImageData:
        """With what was left out."""
        parts = [part for part in (self.train, self.valid, self.test) if part is not None and len(part)]
        count = max((int(part.labels.max()) + 1 for part in parts), default=0)
        mean, std = (self.mean, self.std) if self.mean and self.std else channel_statistics(self.train.images)
        classes = tuple(self.classes) or tuple(map(str, range(count)))
        return replace(self, classes=classes, mean=tuple(self.mean) or mean, std=tuple(self.std) or std)


@dataclass(frozen=True)
class Splits:
    """A data set divided as a config says."""

    train: Split
    valid: Split
    test: Split | None  # None where there are none, or they are used for validation
    source: ImageData

    def steps_per_epoch(self, batch_size: int, limit: int | None = None) -> int:
        """Full batches in one pass over the training images, or `limit`."""
        return limit or len(self.train) // batch_size

    def part(self, name: str) -> Split:
        """The images of `train`, `valid` or `test`.

        Raises:
            DataError: there are none.
        """
        images = {"train": self.train, "valid": self.valid, "test": self.test}[name]
        if images is None or not len(images):
            used = ", or data.validation: test uses them" if name == "test" else ""
            raise DataError(f"no {name} images: there are none{used}")
        return images

    def train_sample(self, count: int | None = None) -> Split:
        """A fixed choice of training images to measure on; `count`, or as many as there are validation images."""
        return self.train.take(self.sample_index(count))

    def sample_index(self, count: int | None = None) -> NDArray[np.int64]:
        """Which these are."""
        return shuffled(len(self.train), SAMPLE)[: count or len(self.valid) or None]

    @cached_property
    def fingerprints(self) -> dict[str, str]:
        """Part → the hash of its images and their classes, in whatever order; see `fingerprint`."""
        parts = {"train": self.train, "valid": self.valid, "test": self.test}
        return {name: fingerprint(*part, self.source.classes) for name, part in parts.items() if part is not None}

    def chance_loss(self) -> float:
        """The loss of a network that knows the classes' frequencies and nothing else: their entropy, in nats."""
        return entropy(np.bincount(self.train.labels))


def load_splits(
    config: Config,
    *,
    list_only: bool = False,
    on_decode: OnDecode = silent,
    trains: bool = True,
    classes: Sequence[str] | None = None,
    known: ImageFormat | None = None,
) -> Splits:
    """Load the data set that `config.data` names and divide it.

    Args:
        config: its section `data` is read.
        list_only: count the images of a folder without decoding any, for a plan.
        on_decode: told (files done, files in all) while a folder is decoded.
        trains: False: only to be measured on, so that there need not be images to train on.
        classes: those that a network knows, for a folder to measure it on, which may lack some.
        known: the format of that network's images.

    Raises:
        DataError: the data cannot be read or is too small.
        ConfigError: the config asks for more images than there are.
    """
    data = config.data
    facts = {
        "root": Path(data.root).expanduser(),
        "image_size": data.image_size,
        "cache_dir": Path(data.cache_dir).expanduser() if data.cache_dir else None,
        "list_only": list_only,
        "on_decode": on_decode,
        "trains": trains,
        "known_classes": classes,
        "known_format": known,
    }
    read = catalog.load_named(catalog.DATASETS, data.name, "data.name")
    source = _read(read, data.name, facts)
    splits = divide(source, config)
    release_pages(*(part.images for part in (source.train, source.valid, source.test) if part is not None))
    if not trains:
        return splits
    if not len(splits.valid):
        raise DataError(
            f"data.validation: {data.validation} of {len(source.train)} training images leaves none to "
            "validate on; raise it"
        )
    if len(splits.train) < data.batch_size:
        raise ConfigError(
            f"data.batch_size: {data.batch_size} is more than the {len(splits.train)} training images of "
            f"{data.name}; lower it"
        )
    _warn_of_imbalance(splits)
    return splits


def _read(read: Callable[..., Any], name: str, facts: Mapping[str, Any]) -> ImageData:
    """Call a data set's function with the arguments that its parameters name."""
    asked = inspect.signature(read).parameters
    unknown = [each for each, about in asked.items() if each not in facts and about.default is about.empty]
    if unknown:
        raise ConfigError(
            f"data.name: {name}: wants {unknown[0]}; a data set gets {', '.join(facts)}, whichever it names"
        )
    source = read(**{each: facts[each] for each in asked if each in facts})
    if not isinstance(source, ImageData):
        raise DataError(f"data.name: {name}: returns {type(source).__name__}; it must return an hpcli.ImageData")
    for part in (source.train, source.valid, source.test):
        if part is not None:
            _check_part(part, name, len(source.classes))
    return source


def _check_part(part: Split, name: str, num_classes: int) -> None:
    images, labels = part
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] not in (1, 3):
        nan = " and hold NaN" if images.dtype.kind == "f" and np.isnan(images).any() else ""
        raise DataError(
            f"data.name: {name}: its images are {images.dtype} {list(images.shape)}{nan}; "
            "they must be uint8 [N, H, W, C] with 1 or 3 channels"
        )
    if labels.dtype != np.int64 or labels.shape != images.shape[:1]:
        raise DataError(
            f"data.name: {name}: its labels are {labels.dtype} {list(labels.shape)}; they must be int64 [N]"
        )
    if len(labels) and not num_classes and labels.min() < 0:
        raise DataError(f"data.name: {name}: its labels go from {labels.min()}; they must be 0, 1 …")
    if len(labels) and num_classes and not 0 <= labels.min() <= labels.max() < num_classes:
        raise DataError(
            f"data.name: {name}: its labels go from {labels.min()} to {labels.max()}; with {num_classes} classes they "
            f"must be 0 to {num_classes - 1}"
        )


def divide(source: ImageData, config: Config) -> Splits:
    """Hold out the validation images, and cut all parts to the sizes that `config.data` asks for."""
    data, source = config.data, source.completed()
    train, valid, test = _parts(source, data.validation, data.split_seed)
    if data.train_fraction < 1:
        train = train.take(stratified(train.labels, data.train_fraction, data.split_seed + 1)[0])
    if data.valid_limit is not None:
        valid = valid.take(np.sort(shuffled(len(valid), SPLIT, data.split_seed)[: data.valid_limit]))
    return Splits(train, valid, test, source)


def _parts(source: ImageData, validation: float | str, split_seed: int) -> tuple[Split, Split, Split | None]:
    """Training, validation and test images, by the key `data.validation`."""
    if validation == "auto":
        validation = "valid" if source.valid is not None else HELD_OUT
    if validation in ("valid", "test"):
        own = source.valid if validation == "valid" else source.test
        if own is None and not len(source.train):  # nothing is trained, and other images are measured on
            own = source.train
        if own is None:
            raise DataError(
                f"data.validation: {validation}: this data set has no {validation} images; use a fraction such as 0.1"
            )
        return source.train, own, None if validation == "test" else source.test
    held, kept = stratified(source.train.labels, float(validation), split_seed)
    return source.train.take(kept), source.train.take(held), source.test


def _warn_of_imbalance(splits: Splits) -> None:
    counts = np.bincount(splits.train.labels, minlength=len(splits.source.classes))
    most, least = int(counts.argmax()), int(counts.argmin())
    if counts[most] > IMBALANCE * counts[least]:
        classes, share = splits.source.classes, counts[most] / counts.sum()
        warnings.warn(
            f"classes are unbalanced: {classes[most]} has {counts[most]} training images, {classes[least]} "
            f"{counts[least]}; always answering {classes[most]} is {share:.0%} right",
            HpcliWarning,
            stacklevel=3,
        )
