"""CIFAR-10 and CIFAR-100 (A. Krizhevsky, 2009), read and downloaded by torchvision, which checks every file's hash."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hpcli.data.dataset import ImageData, Split
from hpcli.data.decode import fitted
from hpcli.data.statistics import channel_statistics
from hpcli.errors import DataError, HpcliWarning

MEGABYTES = 170
"""Of either archive, about."""


def cifar10(root: Path, image_size: int | None = None, *, list_only: bool = False) -> ImageData:
    """50,000 training and 10,000 test images, 32×32, in 10 classes.

    Args:
        root: holds `cifar-10-batches-py/` or `cifar-10-python.tar.gz`; else that is downloaded to it.
        image_size: S: they are scaled to S × S; None: as they are.
        list_only: download and unpack nothing; of what is not there the images are empty arrays, and a warning says so.

    Raises:
        DataError: neither there nor to be had, or damaged.
    """
    from torchvision.datasets import CIFAR10

    return _read(CIFAR10, root, image_size, num_classes=10, list_only=list_only)


def cifar100(root: Path, image_size: int | None = None, *, list_only: bool = False) -> ImageData:
    """50,000 training and 10,000 test images, 32×32, in 100 classes.

    Args:
        root: holds `cifar-100-python/` or `cifar-100-python.tar.gz`; else that is downloaded to it.
        image_size: S: they are scaled to S × S; None: as they are.
        list_only: download and unpack nothing; of what is not there the images are empty arrays, and a warning says so.

    Raises:
        DataError: neither there nor to be had, or damaged.
    """
    from torchvision.datasets import CIFAR100

    return _read(CIFAR100, root, image_size, num_classes=100, list_only=list_only)


def _read(kind, root: Path, image_size: int | None, *, num_classes: int, list_only: bool) -> ImageData:  # type: ignore[no-untyped-def]
    """Of a class of torchvision's."""
    if list_only and not _is_there(kind, root):
        return _to_come(kind, root, num_classes)
    try:
        parts = [kind(root, train=train, download=not _is_there(kind, root)) for train in (True, False)]
    except (OSError, RuntimeError, EOFError, ValueError) as error:
        archive = root / kind.filename
        state = "is there but damaged, and" if archive.exists() else "is not there, and"
        reason = getattr(error, "reason", None) or str(error).split(".")[0] or type(error).__name__
        raise DataError(
            f"{archive}: {state} cannot be downloaded ({reason}); put the archive there yourself (MD5 {kind.tgz_md5})"
        ) from None
    train, test = (Split(_sized(part.data, image_size), np.array(part.targets, np.int64)) for part in parts)
    mean, std = channel_statistics(train.images)
    return ImageData(train, test, tuple(parts[0].classes), mean, std, flip=True)


def _sized(images: NDArray[np.uint8], image_size: int | None) -> NDArray[np.uint8]:
    """Images [N, H, W, C], scaled as a folder's are."""
    if image_size in (None, images.shape[1]):
        return images
    from PIL import Image

    return np.stack([np.asarray(fitted(Image.fromarray(each), image_size), np.uint8) for each in images])


def _to_come(kind, root: Path, num_classes: int) -> ImageData:  # type: ignore[no-untyped-def]
    """What will be there once it is downloaded: as many images of each class, numbered."""
    archive = root / kind.filename
    missing = f"is not there; the run downloads it ({MEGABYTES} MB)"
    state = "is unpacked by the run" if archive.exists() else missing
    warnings.warn(f"{archive}: {state}", HpcliWarning, stacklevel=2)
    train, test = (
        Split(np.empty((count, 0, 0, 3), np.uint8), np.arange(count) % num_classes) for count in (50_000, 10_000)
    )
    return ImageData(train, test, tuple(map(str, range(num_classes))), (0.0,) * 3, (1.0,) * 3, flip=True)


def _is_there(kind, root: Path) -> bool:  # type: ignore[no-untyped-def]
    """Whether the unpacked files are there: then nothing is asked of the network."""
    return all((root / kind.base_folder / name).is_file() for name, _ in [*kind.train_list, *kind.test_list])
