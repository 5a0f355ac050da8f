"""Batches mixed with their own reverse: mixup (Zhang et al., 1710.09412) and cutmix (Yun et al., 1905.04899).

How a batch is mixed is a function of (seed, step), drawn on the host: nothing is sent to a device or read from it.

Letters: B images in a batch, C channels, H × W pixels, K classes.
"""

from __future__ import annotations

import math
import random
from typing import NamedTuple

import torch
from torch import Tensor

from hpcli.data.randomness import MIX, seed_for


class Mix(NamedTuple):
    """How a batch is mixed: image i with image B − 1 − i."""

    share: float  # of an image in its mixture, and of its label
    box: tuple[slice, slice] | None = None  # rows and columns that are the partner's; None: all pixels are averaged


class Mixing:
    """What is done to training batches and their labels: mixup, cutmix, or for each batch one of the two by a coin."""

    def __init__(self, mixup: float, cutmix: float, *, classes: int, device: torch.device) -> None:
        """Make one.

        Args:
            mixup: α of the Beta(α, α) that shares are drawn from, one a batch; 0: no mixup.
            cutmix: likewise.
            classes: K.
            device: of the batches.
        """
        self.mixup, self.cutmix = mixup, cutmix
        self.classes = torch.arange(classes, device=device)

    def draw(self, seed: int, step: int, size: tuple[int, int]) -> Mix:
        """How the batch of a step is mixed, of images of a size [H, W]: f(seed, step)."""
        numbers = random.Random(seed_for(seed, MIX, step))
        cuts = self.cutmix > 0 and (self.mixup == 0 or numbers.random() < 0.5)
        alpha = self.cutmix if cuts else self.mixup
        share = numbers.betavariate(alpha, alpha)
        return cut(share, (numbers.random(), numbers.random()), size) if cuts else Mix(share)

    def images(self, images: Tensor, mix: Mix) -> Tensor:
        """Mix images, float32 [B, C, H, W]; their memory is used."""
        if mix.box is None:
            return images.lerp(images.flip(0), 1 - mix.share)
        inside = (..., *mix.box)
        images[inside] = images[inside].flip(0)
        return images

    def targets(self, labels: Tensor, mix: Mix) -> Tensor:
        """Labels, int64 [B] → the share of each class, float32 [B, K], whose cross-entropy is that of both labels."""
        own = (labels[:, None] == self.classes).to(torch.float32)
        return own.lerp(own.flip(0), 1 - mix.share)


def cut(share: float, middle: tuple[float, float], size: tuple[int, int]) -> Mix:
    """A box of about 1 − share of an image, cut off at its edges; the share is what the box leaves, then.

    Args:
        share: that is asked for, from 0 to 1.
        middle: of the box, each in [0, 1) of the image's height and width.
        size: of the images, [H, W].
    """
    box = []
    for place, pixels in zip(middle, size, strict=True):
        length, at = int(pixels * math.sqrt(1 - share)), int(place * pixels)
        box.append(slice(max(0, at - length // 2), min(pixels, at + (length + 1) // 2)))
    rows, columns = box
    area = (rows.stop - rows.start) * (columns.stop - columns.start)
    return Mix(1 - area / math.prod(size), (rows, columns))
