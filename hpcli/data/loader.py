"""Batches of a data set that lives on the device. A batch is a function of the step: there is no iterator to advance.

Letters: N images, B in a batch, H × W pixels, C channels.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hpcli.data import augment
from hpcli.data.dataset import ImageData, Split
from hpcli.data.randomness import ORDER, random_bits
from hpcli.data.source_augment import source_augment


class Normalize:
    """uint8 [B, H, W, C] → float32 [B, C, H, W] in channels_last layout, mean 0 and deviation 1 over the data set."""

    def __init__(self, source: ImageData, device: torch.device) -> None:
        mean = torch.tensor(source.mean, dtype=torch.float32, device=device)
        std = torch.tensor(source.std, dtype=torch.float32, device=device)
        self.scale = 1 / (255 * std)
        self.shift = -mean / std

    def __call__(self, images: Tensor) -> Tensor:
        """Normalise a batch."""
        return images.to(torch.float32).mul_(self.scale).add_(self.shift).permute(0, 3, 1, 2)


class TrainLoader:
    """Shuffled, augmented training batches, all of one size; a smaller last batch of a pass is dropped."""

    def __init__(
        self, split: Split, source: ImageData, *, batch_size: int, augmentation: str, seed: int, device: torch.device
    ) -> None:
        self.batch_size = batch_size
        self.seed = seed
        self.size = split.images.shape[1:3]
        self.flip = source.flip
        self.normalize = Normalize(source, device)
        self.labels = torch.from_numpy(split.labels).to(device)
        self.images = _tensor(split.images).to(device)
        self.padding = max(1, min(self.size) // 8)
        self.augmentation = augmentation
        self._order: tuple[tuple[int, int], Tensor] | None = None

    @property
    def batches_per_pass(self) -> int:
        """Full batches in one pass over the images."""
        return len(self.labels) // self.batch_size

    def batch(self, step: int) -> tuple[Tensor, Tensor]:
        """The batch of a step: float32 [B, C, H, W] and int64 [B]."""
        images, labels = self.pictures(step)
        return self.normalize(images), labels

    def pictures(self, step: int) -> tuple[Tensor, Tensor]:
        """The same batch before normalisation, for people to look at: uint8 [B, H, W, C] and int64 [B]."""
        data_pass, position = divmod(step, self.batches_per_pass)
        index = self.order(data_pass)[position * self.batch_size : (position + 1) * self.batch_size]
        return self._augmented(index, data_pass), self.labels[index]

    def order(self, data_pass: int) -> Tensor:
        """The order of the images in a pass, int64 [N]: f(seed, pass)."""
        key = (self.seed, data_pass)
        if self._order is None or self._order[0] != key:
            numbers = torch.arange(len(self.labels), device=self.labels.device)
            self._order = (key, torch.argsort(random_bits(numbers, self.seed, ORDER, data_pass), stable=True))
        return self._order[1]

    def _augmented(self, index: Tensor, data_pass: int) -> Tensor:
        if self.augmentation == "source":
            images = self.images[index]
            return source_augment(images, index, flip=self.flip, seed=self.seed, data_pass=data_pass)
        if self.augmentation == "none":
            return self.images[index]
        return augment.random_crop_and_flip(
            self.images, index, self.padding, flip=self.flip, seed=self.seed, data_pass=data_pass
        )


class EvalLoader:
    """Batches of images in their own order, un-augmented. The last batch may be smaller."""

    def __init__(self, split: Split, source: ImageData, *, batch_size: int, device: torch.device) -> None:
        self.batch_size = batch_size
        self.images = _tensor(split.images).to(device)
        self.labels = torch.from_numpy(split.labels).to(device)
        self.normalize = Normalize(source, device)
        self._chosen: Tensor | None = None

    @classmethod
    def sample(cls, train: TrainLoader, chosen: NDArray[np.int64], *, batch_size: int) -> EvalLoader:
        """Some training images, in the order of `chosen`. The loader's images are not copied."""
        self = cls.__new__(cls)
        self.batch_size, self.images, self.normalize = batch_size, train.images, train.normalize
        self._chosen = torch.from_numpy(chosen).to(train.images.device)
        self.labels = train.labels[self._chosen]
        return self

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        for start in range(0, len(self.labels), self.batch_size):
            stop = start + self.batch_size
            which = slice(start, stop) if self._chosen is None else self._chosen[start:stop]
            yield self.normalize(self.images[which]), self.labels[start:stop]


def _tensor(images: NDArray[np.uint8]) -> Tensor:
    """Images as a tensor, without a copy. Nothing writes to them: they may lie in a file that is mapped read-only."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.from_numpy(images)
