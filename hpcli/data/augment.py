"""Augmentation of a whole batch on its device, every image with its own draw.

An augmentation is two functions: `draw` says what is done to each image, for many batches at once; `change` does it to
a batch. This one cuts a window out of the padded image, and mirrors it; `source_augment` is the other one.

Letters: N images in the set, B in a batch, H × W pixels, C channels, P pixels of padding on each side.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol, TypeVar

import torch
from torch import Tensor
from torch.nn import functional as F

from hpcli.data.randomness import CROP_X, CROP_Y, FLIP, random_integers
from hpcli.data.source_augment import SourceAugment

D = TypeVar("D", bound=tuple[Tensor, ...])
"""Named tensors, each [N, …]."""


class Augmentation(Protocol[D]):
    """What is done to the images of a pass."""

    def draw(self, index: Tensor, *, seed: int, data_pass: int) -> D:
        """For every image of `index`, int64 [N], what is drawn for it: f(seed, data_pass, image)."""

    def change(self, images: Tensor, draws: D) -> Tensor:
        """Apply each image's draws: uint8 [B, H, W, C] → the same."""


def augmentation_of(name: str, *, size: tuple[int, int], flip: bool) -> Augmentation[Any] | None:
    """By its name in the config, for images of a size [H, W]; None: nothing is done."""
    if name == "none":
        return None
    return SourceAugment(flip) if name == "source" else CropAndFlip(max(1, min(size) // 8), size, flip)


def part(draws: D, start: int, stop: int) -> D:
    """The draws of the images from one place to another."""
    return type(draws)(*(each[start:stop] for each in draws))


class Windows(NamedTuple):
    """Where each image is cut: its first pixel in the padded image, int64 [N]; whether it is mirrored, bool [N]."""

    corner: Tensor
    mirrored: Tensor


class CropAndFlip:
    """Cut an H × W window out of each padded image, mirrored left to right for half of them where `flip`."""

    def __init__(self, padding: int, size: tuple[int, int], flip: bool) -> None:
        self.padding, self.flip = padding, flip
        self.height, self.width = (each + 2 * padding for each in size)  # of a padded image

    def draw(self, index: Tensor, *, seed: int, data_pass: int) -> Windows:
        """As `Augmentation`'s."""
        places = 2 * self.padding + 1
        top, left = (random_integers(index, places, seed, each, data_pass) for each in (CROP_Y, CROP_X))
        mirrored = random_integers(index, 2, seed, FLIP, data_pass).bool() & self.flip
        return Windows(top * self.width + left, mirrored)

    def change(self, images: Tensor, draws: Windows) -> Tensor:
        """As `Augmentation`'s. Whole rows are copied, a tenth of the time that it takes to copy pixels."""
        count, height, width, channels = images.shape
        padded = F.pad(images, (0, 0, *[self.padding] * 4))  # black
        windows = padded.view(-1).unfold(0, width * channels, channels)  # what begins at each pixel, without a copy
        numbers, down = (torch.arange(each, device=images.device) for each in (count, height))
        rows = (draws.corner + self.height * self.width * numbers)[:, None] + self.width * down  # [B, H]
        cut = windows.index_select(0, rows.flatten()).view(images.shape)
        if not self.flip:
            return cut
        return torch.cat((cut, cut.flip(2))).index_select(0, numbers + count * draws.mirrored)
