"""Images that lie in a file which is mapped read-only: in memory only while they are used."""

from __future__ import annotations

import mmap
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

AT_ONCE = 2**24
"""Bytes that are copied at once."""
LARGE = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 8
"""Bytes from which a copy out of a file lies in a file, too: an eighth of the machine's memory."""


def taken(images: NDArray[np.uint8], index: NDArray[np.int64]) -> NDArray[np.uint8]:
    """A copy of the images at `index`, in that order. No more of a file is in memory than what is taken.

    A large copy is not in memory either: it is mapped from a file without a name, beside the one it was taken out of.
    """
    copy = _room_for(len(index), images)
    many = max(1, AT_ONCE * len(index) // max(1, copy.nbytes))
    for start in range(0, len(index), many):
        copy[start : start + many] = images[index[start : start + many]]
        release_pages(images)
        _release(copy)
    copy.flags.writeable = not isinstance(copy, np.memmap)
    return copy


def in_parts(images: NDArray[np.uint8]) -> Iterator[NDArray[np.uint8]]:
    """All images, a mebibyte at once, in their order. The memory of each part is given back before the next."""
    many = max(1, 2**20 * len(images) // max(1, images.nbytes))
    for start in range(0, len(images), many):
        yield images[start : start + many]
        release_pages(images)


def release_pages(*arrays: NDArray[np.uint8]) -> None:
    """Give back the memory of arrays that lie in a file and cannot be changed; they are read again when used."""
    for array in arrays:
        if not array.flags.writeable:
            _release(array)


def _release(array: NDArray[np.uint8]) -> None:
    under: object = array
    while isinstance(under, np.ndarray):
        under = under.base
    if isinstance(under, mmap.mmap):
        under.madvise(mmap.MADV_DONTNEED)


def _room_for(count: int, images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """An array for so many of the images: in memory, or in a file if it is large and the disk has room."""
    shape, size = (count, *images.shape[1:]), count * images[:1].nbytes
    file = _file_of(images)
    if file is not None and size >= LARGE:
        try:
            with tempfile.NamedTemporaryFile(dir=file.parent) as temporary:  # its name goes, the array remembers it
                os.posix_fallocate(temporary.fileno(), 0, size)  # a disk too small says so now; later it is a SIGBUS
                return np.memmap(temporary.name, images.dtype, "r+", shape=shape)
        except OSError:
            pass
    return np.empty(shape, images.dtype)


def _file_of(images: NDArray[np.uint8]) -> Path | None:
    """The file that an array is mapped from, if it is; it need not have its name any more."""
    under: object = images
    while isinstance(under, np.ndarray):
        if isinstance(under, np.memmap) and under.filename:
            return Path(str(under.filename))
        under = under.base
    return None
