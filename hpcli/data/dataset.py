"""A data set in memory, and how it is divided. Plain numpy: nothing here knows of devices.

Letters: N images, H × W pixels, C channels, K classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hpcli import catalog
from hpcli.config import Config
from hpcli.data.randomness import SAMPLE, SPLIT, random_bits
from hpcli.errors import ConfigError, DataError


class Split(NamedTuple):
    """Some images with their labels."""

    images: NDArray[np.uint8]  # [N, H, W, C]
    labels: NDArray[np.int64]  # [N], in [0, K)

    def take(self, index: NDArray[np.int64]) -> Split:
        """The images at `index`, in that order."""
        return Split(self.images[index], self.labels[index])

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class ImageData:
    """What a data set's function returns: all its images, before anything is held out."""

    train: Split
    test: Split
    classes: tuple[str, ...]
    mean: tuple[float, ...]  # a channel, of pixels in [0, 1]
    std: tuple[float, ...]
    flip: bool  # a mirrored image still belongs to its class


@dataclass(frozen=True)
class Splits:
    """A data set divided as a config says."""

    train: Split
    valid: Split
    test: Split | None  # None where the test images are used for validation
    source: ImageData

    def steps_per_epoch(self, batch_size: int, limit: int | None = None) -> int:
        """Full batches in one pass over the training images, or `limit`."""
        return limit or len(self.train) // batch_size

    def train_sample(self, count: int | None = None) -> Split:
        """A fixed choice of training images to measure on; `count`, or as many as there are validation images."""
        return self.train.take(shuffled(len(self.train), SAMPLE)[: count or len(self.valid)])

    def chance_loss(self) -> float:
        """The loss of a network that knows the classes' frequencies and nothing else: their entropy, in nats."""
        shares = np.bincount(self.train.labels) / len(self.train)
        return float(-(shares[shares > 0] * np.log(shares[shares > 0])).sum())


def load_splits(config: Config) -> Splits:
    """Load the data set that `config.data` names and divide it.

    Raises:
        DataError: the data cannot be read or is too small.
        ConfigError: the config asks for more images than there are.
    """
    source: ImageData = catalog.load(catalog.DATASETS[config.data.name])()
    splits = divide(source, config)
    if len(splits.train) < config.data.batch_size:
        raise ConfigError(
            f"data.batch_size: {config.data.batch_size} is more than the {len(splits.train)} training images of "
            f"{config.data.name}; lower it"
        )
    return splits


def divide(source: ImageData, config: Config) -> Splits:
    """Hold out what validates, and cut to the sizes that `config.data` asks for."""
    data = config.data
    if data.validation == "test":
        train, valid, test = source.train, source.test, None
    else:
        held, kept = stratified(source.train.labels, float(data.validation), data.split_seed)
        train, valid, test = source.train.take(kept), source.train.take(held), source.test
    if data.train_fraction < 1:
        train = train.take(stratified(train.labels, data.train_fraction, data.split_seed + 1)[0])
    if data.valid_limit is not None:
        valid = valid.take(np.sort(shuffled(len(valid), SPLIT, data.split_seed)[: data.valid_limit]))
    if not len(valid):
        raise DataError(
            f"data.validation: {data.validation} of {len(source.train)} training images leaves none to "
            "validate on; raise it"
        )
    return Splits(train, valid, test, source)


def stratified(labels: NDArray[np.int64], fraction: float, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Divide indices in two, class by class, so that each class has about `fraction` of its images in the first part.

    Args:
        labels: [N].
        fraction: in (0, 1).
        seed: which images; the same seed always chooses the same.

    Returns:
        Two sorted index arrays: the chosen, and the rest.
    """
    order = shuffled(len(labels), SPLIT, seed)
    chosen = np.zeros(len(labels), bool)
    for label in np.unique(labels):
        members = order[labels[order] == label]
        chosen[members[: round(fraction * len(members))]] = True
    return np.flatnonzero(chosen), np.flatnonzero(~chosen)


def shuffled(count: int, *parts: int) -> NDArray[np.int64]:
    """The numbers 0 … count−1 in an order that depends on `parts` alone."""
    return np.argsort(random_bits(np.arange(count), *parts), kind="stable")


def channel_statistics(images: NDArray[np.uint8]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation a channel, of pixels in [0, 1]."""
    pixels = images.reshape(-1, images.shape[-1]) / 255
    return tuple(pixels.mean(0).tolist()), tuple(np.maximum(pixels.std(0), 1e-3).tolist())
