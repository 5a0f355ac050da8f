"""CIFAR-10 and CIFAR-100 (A. Krizhevsky, 2009), read and downloaded by torchvision, which checks every file's hash."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from hpcli.data.dataset import ImageData, Split
from hpcli.data.statistics import channel_statistics
from hpcli.errors import DataError


def cifar10(root: Path) -> ImageData:
    """50,000 training and 10,000 test images, 32×32, in 10 classes.

    Args:
        root: holds `cifar-10-batches-py/` or `cifar-10-python.tar.gz`; else that is downloaded to it.

    Raises:
        DataError: neither there nor to be had, or damaged.
    """
    from torchvision.datasets import CIFAR10

    return _read(CIFAR10, root)


def cifar100(root: Path) -> ImageData:
    """50,000 training and 10,000 test images, 32×32, in 100 classes.

    Args:
        root: holds `cifar-100-python/` or `cifar-100-python.tar.gz`; else that is downloaded to it.

    Raises:
        DataError: neither there nor to be had, or damaged.
    """
    from torchvision.datasets import CIFAR100

    return _read(CIFAR100, root)


def _read(kind, root: Path) -> ImageData:  # type: ignore[no-untyped-def]  # a class of torchvision
    try:
        parts = [kind(root, train=train, download=not _is_there(kind, root)) for train in (True, False)]
    except (OSError, RuntimeError, EOFError, ValueError) as error:
        archive = root / kind.filename
        state = "is there but damaged, and" if archive.exists() else "is not there, and"
        reason = getattr(error, "reason", None) or str(error).split(".")[0] or type(error).__name__
        raise DataError(
            f"{archive}: {state} cannot be downloaded ({reason}); put the archive there yourself (MD5 {kind.tgz_md5})"
        ) from None
    train, test = (Split(part.data, np.array(part.targets, np.int64)) for part in parts)
    mean, std = channel_statistics(train.images)
    return ImageData(train, test, tuple(parts[0].classes), mean, std, flip=True)


def _is_there(kind, root: Path) -> bool:  # type: ignore[no-untyped-def]
    """Whether the unpacked files are there: then nothing is asked of the network."""
    return all((root / kind.base_folder / name).is_file() for name, _ in [*kind.train_list, *kind.test_list])
