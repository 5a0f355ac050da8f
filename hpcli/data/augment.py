"""Augmentation of a whole batch on its device, every image with its own draw.

Letters: N images in the set, B in a batch, H × W pixels, C channels, P pixels of padding on each side.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from hpcli.data.randomness import CROP_X, CROP_Y, FLIP, random_integers


def pad(images: Tensor, padding: int) -> Tensor:
    """Black borders: uint8 [B, H, W, C] → [B, H+2P, W+2P, C]."""
    return F.pad(images, (0, 0, padding, padding, padding, padding))


def random_crop_and_flip(
    images: Tensor, index: Tensor, padding: int, *, flip: bool, seed: int, data_pass: int
) -> Tensor:
    """Cut an H × W window out of each padded image, mirrored left to right for half of them where `flip`.

    Only the batch is padded, so that the set is kept once. One flat gather for the whole batch. The draw is
    f(seed, data_pass, image), whatever batch the image is in.

    Args:
        images: uint8 [N, H, W, C].
        index: int64 [B], which images.
        padding: P.
        flip: whether to mirror at all.
        seed: the run's seed.
        data_pass: how often the set has been gone through.

    Returns:
        uint8 [B, H, W, C].
    """
    _, height, width, channels = images.shape
    top = random_integers(index, 2 * padding + 1, seed, CROP_Y, data_pass)
    left = random_integers(index, 2 * padding + 1, seed, CROP_X, data_pass)
    columns = torch.arange(width, device=index.device).expand(len(index), width)
    if flip:
        mirrored = random_integers(index, 2, seed, FLIP, data_pass).bool()
        columns = torch.where(mirrored[:, None], width - 1 - columns, columns)
    padded = pad(images.index_select(0, index), padding)
    first = torch.arange(len(index), device=index.device) * padded.shape[1] + top
    rows = first[:, None] + torch.arange(height, device=index.device)
    pixels = rows[:, :, None] * padded.shape[2] + (left[:, None] + columns)[:, None, :]
    picked = padded.view(-1, channels).index_select(0, pixels.flatten())
    return picked.view(len(index), height, width, channels)
