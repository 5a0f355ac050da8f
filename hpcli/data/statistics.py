"""What images and labels are on average. Plain numpy."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hpcli.data.mapped import in_parts


def entropy(counts: ArrayLike) -> float:
    """Of a distribution, in nats, from how often each outcome is seen."""
    seen = np.asarray(counts)
    shares = seen[seen > 0] / seen.sum()
    return float(-(shares * np.log(shares)).sum())


def channel_statistics(images: NDArray[np.uint8]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation a channel, of pixels in [0, 1]: uint8 [N, H, W, C], which may lie on a disk."""
    counts = np.zeros((images.shape[-1], 256))  # how often each channel has each value
    for part in in_parts(images):
        counts += [np.bincount(part[..., channel].ravel(), minlength=256) for channel in range(images.shape[-1])]
    values, shares = np.arange(256) / 255, counts / counts.sum(1, keepdims=True)
    mean = shares @ values
    std = np.sqrt((shares * (values - mean[:, None]) ** 2).sum(1))
    return tuple(mean.tolist()), tuple(np.maximum(std, 1e-3).tolist())
