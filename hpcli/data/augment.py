"""Augmentation of a whole batch on its device, every image with its own draw.

Letters: N images in the set, B in a batch, H × W pixels, C channels, P pixels of padding on each side.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from hpcli.data.randomness import CROP_X, CROP_Y, FLIP, random_integers


def pad(images: Tensor, padding: int) -> Tensor:
    """Black borders, once for the whole set: uint8 [N, H, W, C] → [N, H+2P, W+2P, C]."""
    return F.pad(images, (0, 0, padding, padding, padding, padding))


def random_crop_and_flip(
    padded: Tensor, index: Tensor, size: tuple[int, int], *, flip: bool, seed: int, data_pass: int
) -> Tensor:
    """Cut an H × W window out of each padded image, mirrored left to right for half of them where `flip`.

    One flat gather for the whole batch. The draw is f(seed, data_pass, image), whatever batch the image is in.

    Args:
        padded: uint8 [N, H+2P, W+2P, C].
        index: int64 [B], which images.
        size: (H, W).
        flip: whether to mirror at all.
        seed: the run's seed.
        data_pass: how often the set has been gone through.

    Returns:
        uint8 [B, H, W, C].
    """
    height, width = size
    top = random_integers(index, padded.shape[1] - height + 1, seed, CROP_Y, data_pass)
    left = random_integers(index, padded.shape[2] - width + 1, seed, CROP_X, data_pass)
    columns = torch.arange(width, device=index.device).expand(len(index), width)
    if flip:
        mirrored = random_integers(index, 2, seed, FLIP, data_pass).bool()
        columns = torch.where(mirrored[:, None], width - 1 - columns, columns)
    rows = index[:, None] * padded.shape[1] + top[:, None] + torch.arange(height, device=index.device)
    pixels = rows[:, :, None] * padded.shape[2] + (left[:, None] + columns)[:, None, :]
    picked = padded.view(-1, padded.shape[3]).index_select(0, pixels.flatten())
    return picked.view(len(index), height, width, padded.shape[3])
