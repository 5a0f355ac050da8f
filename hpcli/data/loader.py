"""Batches of a data set. A batch is a function of the step: there is no iterator to advance.

Letters: N images, B in a batch, H × W pixels, C channels.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hpcli.data.augment import augmentation_of, part
from hpcli.data.dataset import ImageData, Split
from hpcli.data.mixing import Mix, Mixing
from hpcli.data.pixels import Pixels, pixels_of
from hpcli.data.randomness import ORDER, random_bits

DRAWN_AT_ONCE = 2**14
"""Images whose augmentation is drawn at once: many batches, and little memory however many images there are."""
MADE_AT_ONCE = 2**21
"""Bytes of batches that are picked and augmented at once: a few small batches cost little more than one."""


class Normalize:
    """uint8 [B, H, W, C] → float32 [B, C, H, W] in channels_last layout, mean 0 and deviation 1 over the data set.

    A row at a time, which is many times as fast as a pixel's few channels.
    """

    def __init__(
        self, mean_by_channel: Sequence[float], std_by_channel: Sequence[float], device: torch.device, width: int
    ) -> None:
        mean = torch.tensor(mean_by_channel, dtype=torch.float32, device=device)
        std = torch.tensor(std_by_channel, dtype=torch.float32, device=device)
        self.scale = (1 / (255 * std)).repeat(width)  # [W × C]
        self.shift = (-mean / std).repeat(width)

    def __call__(self, images: Tensor) -> Tensor:
        """Normalise a batch."""
        rows = images.flatten(2).to(torch.float32).mul_(self.scale).add_(self.shift)
        return rows.view(images.shape).permute(0, 3, 1, 2)


class TrainLoader:
    """Shuffled, augmented training batches, all of one size; a smaller last batch of a pass is dropped."""

    def __init__(
        self,
        split: Split,
        source: ImageData,
        *,
        batch_size: int,
        augmentation: str,
        seed: int,
        device: torch.device,
        resident: int | None = None,
        mixing: Mixing | None = None,
    ) -> None:
        self.batch_size, self.seed, self.device = batch_size, seed, device
        self.share = 0, 1  # which part of a batch is made here, of how many; other processes make the rest
        self.size = split.images.shape[1:3]
        self.normalize = Normalize(source.mean, source.std, device, self.size[1])
        self.labels = torch.from_numpy(split.labels).to(device)
        self.pixels = pixels_of(split.images, device, resident)
        self.mixing = mixing
        self.augmentation = augmentation_of(augmentation, size=self.size, flip=source.flip)
        self._at_once = max(1, MADE_AT_ONCE // (batch_size * math.prod(split.images.shape[1:])))
        self._order: tuple[tuple[int, int], Tensor] | None = None
        self._draws: tuple[tuple[int, int, int], tuple[Tensor, ...]] | None = None
        self._made: tuple[tuple[int, int, int], Tensor] | None = None

    @property
    def batches_per_pass(self) -> int:
        """Full batches in one pass over the images."""
        return len(self.labels) // self.batch_size

    def batch(self, step: int) -> tuple[Tensor, Tensor]:
        """The batch of a step, or the part of it: float32 [B, C, H, W] and int64 [B].

        Where images are mixed, the shares of the classes, float32 [B, K], in place of the labels.
        """
        pixels, labels = self._picked(step)
        images, mix = self.normalize(pixels), self.mix(step)
        if self.mixing is None or mix is None:
            return images, labels
        return self.mixing.images(images, mix), self.mixing.targets(labels, mix)

    def pictures(self, step: int) -> tuple[Tensor, Tensor]:
        """The same batch before normalisation, for people to look at: uint8 [B, H, W, C] and labels, int64 [B]."""
        images, labels = self._picked(step)
        mix = self.mix(step)
        if self.mixing is None or mix is None:
            return images, labels
        mixed = self.mixing.images(images.permute(0, 3, 1, 2).to(torch.float32), mix)
        return mixed.round().to(torch.uint8).permute(0, 2, 3, 1), labels

    def mix(self, step: int) -> Mix | None:
        """How the batch of a step is mixed with its own reverse; None: it is not."""
        return None if self.mixing is None else self.mixing.draw(self.seed, step, self.size)

    def _picked(self, step: int) -> tuple[Tensor, Tensor]:
        """The augmented images of a step and their labels, before they are mixed."""
        data_pass, position = divmod(step, self.batches_per_pass)
        images = self._images(data_pass, position)
        return images, self.labels[self._index(data_pass, position).to(self.device, non_blocking=True)]

    def order(self, data_pass: int) -> Tensor:
        """The order of the images in a pass, int64 [N]: f(seed, pass)."""
        key = (self.seed, data_pass)
        if self._order is None or self._order[0] != key:
            numbers = torch.arange(len(self.labels), device=self.pixels.place)
            self._order = (key, torch.argsort(random_bits(numbers, self.seed, ORDER, data_pass), stable=True))
        return self._order[1]

    def _index(self, data_pass: int, position: int, batches: int = 1) -> Tensor:
        """The images of some batches of a pass, of as many as there are."""
        stop = min(position + batches, self.batches_per_pass)
        whole = self.order(data_pass)[position * self.batch_size : stop * self.batch_size]
        start, stop = self._part
        return whole.view(-1, self.batch_size)[:, start:stop].flatten()

    @property
    def _part(self) -> tuple[int, int]:
        """Where the images of a batch begin and end that are made here: as many as elsewhere, or one more."""
        number, count = self.share
        return number * self.batch_size // count, (number + 1) * self.batch_size // count

    @property
    def _own(self) -> int:
        """Images of a batch that are made here."""
        start, stop = self._part
        return stop - start

    def _images(self, data_pass: int, position: int) -> Tensor:
        """The images of a batch, out of some batches that are made at once."""
        place = position % self._at_once
        key = (self.seed, data_pass, position - place)
        if self._made is None or self._made[0] != key:
            here, then = (self._index(data_pass, position - place + late, self._at_once) for late in (0, self._at_once))
            images = self.pixels.pick(here, then if len(then) else None)
            if self.augmentation is not None:
                images = self.augmentation.change(images, self._drawn(data_pass, position - place, len(images)))
            self._made = (key, images)
        return self._made[1][place * self._own : (place + 1) * self._own]

    def _drawn(self, data_pass: int, position: int, count: int) -> tuple[Tensor, ...]:
        """The augmentation of so many images from a batch on, out of what is drawn for many at once."""
        many = self._at_once * max(1, DRAWN_AT_ONCE // (self._at_once * self.batch_size))
        place = position % many
        key = (self.seed, data_pass, position - place)
        if self._draws is None or self._draws[0] != key:
            index = self._index(data_pass, position - place, many).to(self.device, non_blocking=True)
            assert self.augmentation is not None
            self._draws = (key, self.augmentation.draw(index, seed=self.seed, data_pass=data_pass))
        return part(self._draws[1], place * self._own, place * self._own + count)


class EvalLoader:
    """Batches of images in a fixed order, un-augmented. The last batch may be smaller."""

    def __init__(
        self, pixels: Pixels, index: Tensor, labels: Tensor, normalize: Normalize, batch_size: int, start: int = 0
    ) -> None:
        """Make one of its parts.

        Args:
            pixels: the images.
            index: int64 [n], which of them.
            labels: int64 [n], theirs.
            normalize: of the data set.
            batch_size: images a batch.
            start: where they begin among all that are measured.
        """
        self.pixels, self.index, self.labels = pixels, index, labels
        self.normalize, self.batch_size, self.start = normalize, batch_size, start

    @classmethod
    def of(
        cls, split: Split, source: ImageData, *, batch_size: int, device: torch.device, resident: int | None = None
    ) -> EvalLoader:
        """All images of a split, in their own order."""
        pixels = pixels_of(split.images, device, resident)
        index = torch.arange(len(split), device=pixels.place)
        labels = torch.from_numpy(split.labels).to(device)
        normalize = Normalize(source.mean, source.std, device, split.images.shape[2])
        return cls(pixels, index, labels, normalize, batch_size)

    @classmethod
    def sample(cls, train: TrainLoader, which: NDArray[np.int64], *, batch_size: int) -> EvalLoader:
        """Some training images, in the order of `which`. The loader's images are not copied."""
        index = torch.from_numpy(which).to(train.pixels.place)
        return cls(train.pixels, index, train.labels[index.to(train.device)], train.normalize, batch_size)

    def part(self, number: int, count: int) -> EvalLoader:
        """The batches of one of `count` processes: some that follow each other, perhaps none."""
        batches = math.ceil(len(self.index) / self.batch_size)
        start, stop = (at * batches // count * self.batch_size for at in (number, number + 1))
        here = slice(start, stop)
        return EvalLoader(self.pixels, self.index[here], self.labels[here], self.normalize, self.batch_size, start)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        if not len(self.index):
            return
        parts = self.index.split(self.batch_size)
        for here, then, labels in zip(parts, (*parts[1:], None), self.labels.split(self.batch_size), strict=True):
            yield self.normalize(self.pixels.pick(here, then)), labels
