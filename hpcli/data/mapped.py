"""Images that lie in a file which is mapped read-only: in memory only while they are used."""

from __future__ import annotations

import mmap

import numpy as np
from numpy.typing import NDArray

AT_ONCE = 2**24
"""Bytes that are copied at once."""


def taken(images: NDArray[np.uint8], index: NDArray[np.int64]) -> NDArray[np.uint8]:
    """A copy of the images at `index`, in that order. No more of a file is in memory than what is taken."""
    copy = np.empty((len(index), *images.shape[1:]), images.dtype)
    many = max(1, AT_ONCE * len(index) // max(1, copy.nbytes))
    for start in range(0, len(index), many):
        copy[start : start + many] = images[index[start : start + many]]
        release_pages(images)
    return copy


def release_pages(*arrays: NDArray[np.uint8]) -> None:
    """Give back the memory of arrays that lie in a file and cannot be changed; they are read again when used."""
    for array in arrays:
        under: object = None if array.flags.writeable else array
        while isinstance(under, np.ndarray):
            under = under.base
        if isinstance(under, mmap.mmap):
            under.madvise(mmap.MADV_DONTNEED)
