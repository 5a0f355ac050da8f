"""Where a set's images lie: on the device, or on the host, from where every batch is sent.

Letters: N images, B in a batch, H × W pixels, C channels.
"""

from __future__ import annotations

import warnings
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hpcli.data.mapped import AT_ONCE, release_pages


class Pixels(Protocol):
    """The images of a set, to pick some from."""

    place: torch.device
    """Where an index into them lies."""

    def pick(self, index: Tensor, then: Tensor | None = None) -> Tensor:
        """Some images: int64 [B] → uint8 [B, H, W, C] on the device.

        Args:
            index: which, in this order.
            then: which will be picked next, if that is known.
        """


class Resident:
    """All images on the device."""

    def __init__(self, images: NDArray[np.uint8], device: torch.device) -> None:
        self.images, self.place = _tensor(images).to(device), device

    def pick(self, index: Tensor, then: Tensor | None = None) -> Tensor:
        """As `Pixels`'s."""
        return self.images.index_select(0, index)


class Streamed:
    """Images that stay on the host, mostly in a file: the next batch is gathered while the device computes.

    What the kernel has brought into memory is given back from time to time.
    """

    place = torch.device("cpu")

    def __init__(self, images: NDArray[np.uint8], device: torch.device) -> None:
        self.device = device
        self._array, self._images = images, _tensor(images)
        self._beside = ThreadPoolExecutor(1, thread_name_prefix="hpcli-images")
        self._next: tuple[Tensor, Future[Tensor]] | None = None
        self._read = 0  # bytes, since memory was given back

    def pick(self, index: Tensor, then: Tensor | None = None) -> Tensor:
        """As `Pixels`'s."""
        waiting, self._next = self._next, None
        is_there = waiting is not None and torch.equal(waiting[0], index)
        batch = waiting[1].result() if waiting and is_there else self._gathered(index)
        if then is not None:
            self._next = then, self._beside.submit(self._gathered, then)
        return batch.to(self.device, non_blocking=True)

    def _gathered(self, index: Tensor) -> Tensor:
        batch = self._images.index_select(0, index)
        self._read += batch.nbytes
        if self._read > AT_ONCE:
            release_pages(self._array)
            self._read = 0
        return batch.pin_memory() if self.device.type == "cuda" else batch


def pixels_of(images: NDArray[np.uint8], device: torch.device, resident: int | None) -> Pixels:
    """Where images lie best.

    Args:
        images: uint8 [N, H, W, C].
        device: where they are needed.
        resident: bytes up to which they are kept on the device; None: always.
    """
    is_small = resident is None or images.nbytes <= resident
    return Resident(images, device) if is_small else Streamed(images, device)


def _tensor(images: NDArray[np.uint8]) -> Tensor:
    """Images as a tensor, without a copy. Nothing writes to them: they may lie in a file that is mapped read-only."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.from_numpy(images)
