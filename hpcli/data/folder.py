"""Image folders in ImageNet's layout: `train/<class>/…`, and beside it `valid/` or `val/`, and `test/`.

Listing the files is quick and is done every time (`listing`); decoding them is done once (`decode_cache`).
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from hpcli.data.dataset import ImageData, Split
from hpcli.data.decode import ImageFormat, OnDecode, common_shape, read_headers, silent
from hpcli.data.decode_cache import Decoded, decoded
from hpcli.data.listing import FolderListing, Listing, list_folder, some
from hpcli.data.statistics import channel_statistics
from hpcli.errors import DataError, HpcliWarning


def folder(
    root: Path,
    image_size: int | None = None,
    cache_dir: Path | None = None,
    *,
    list_only: bool = False,
    on_decode: OnDecode = silent,
    trains: bool = True,
    known_classes: Sequence[str] | None = None,
    known_format: ImageFormat | None = None,
) -> ImageData:
    """Read an image folder.

    Args:
        root: holds `train/<class>/…`; `valid/` (or `val/`) and `test/` where there are such.
        image_size: shorter side scaled to it, the middle cut out; None: as they are, all of one size.
        cache_dir: where decoded images are kept; None: the user's cache folder.
        list_only: count the files and decode none; the images are empty arrays. Their sizes are compared all the same.
        on_decode: told how many files are decoded, and of how many.
        trains: False: `train/` need not be there, nor `test/`, where the classes lie right in `root`.
        known_classes: of a network that is measured: there may be fewer in the folder; None: those that are found.
        known_format: to decode to, that network's; None: what the files themselves have.

    Raises:
        DataError: nothing to learn from, naming what is missing and where; or images that differ in size, and no
            `image_size`.
    """
    listing = list_folder(root, known_classes, trains=trains)
    files = [file for part in listing.parts.values() for file in part.files]
    if list_only:
        if image_size is None:
            common_shape(files, read_headers(files), image_size)
        splits = {
            name: Split(np.empty((len(each.files), 0, 0, 3), np.uint8), each.labels)
            for name, each in listing.parts.items()
        }
        splits.setdefault("train", Split(np.empty((0, 0, 0, 3), np.uint8), np.empty(0, np.int64)))
        return _image_data(splits, listing.classes, (0.0,) * 3, (1.0,) * 3)
    images = decoded(files, root, image_size=image_size, cache_dir=cache_dir, on_decode=on_decode, known=known_format)
    splits = _cut(images, listing.parts)
    _check_readable(listing, splits)
    _report_unreadable(root, files, images.unreadable)
    first = next(iter(splits.values()))
    splits.setdefault("train", first.take(np.arange(0)))
    found = _image_data(splits, listing.classes, *channel_statistics(first.images))
    return replace(found, white=images.white)


def _cut(images: Decoded, listings: dict[str, Listing]) -> dict[str, Split]:
    """The decoded images of each part, without those that could not be read."""
    splits, start = {}, 0
    for name, listing in listings.items():
        part = Split(images.pixels[start : start + len(listing.files)], listing.labels)
        bad = [index - start for index in images.unreadable if start <= index < start + len(listing.files)]
        good = np.delete(np.arange(len(listing.files)), bad)
        splits[name] = part.take(good) if bad else part
        start += len(listing.files)
    return splits


def _check_readable(listing: FolderListing, splits: dict[str, Split]) -> None:
    """Check that every class and part that has files has one that can be read."""
    for part, split in splits.items():
        listed, readable = (
            np.bincount(labels, minlength=len(listing.classes)) for labels in (listing.parts[part].labels, split.labels)
        )
        for name, count in zip(listing.classes, np.where(readable == 0, listed, 0).tolist(), strict=True):
            if count:
                raise DataError(
                    f"{listing.folders[part] / name}: none of its {count} files can be read as an image; replace them, "
                    "or remove the folder"
                )


def _report_unreadable(root: Path, files: list[Path], bad: dict[int, str]) -> None:
    if bad:
        names = some([f'"{files[index].relative_to(root)}" ({reason})' for index, reason in bad.items()])
        warnings.warn(
            f"{root}: not used: {len(bad)} of {len(files)} images, which cannot be read: {names}",
            HpcliWarning,
            stacklevel=2,
        )


def _image_data(
    splits: dict[str, Split], classes: tuple[str, ...], mean: tuple[float, ...], std: tuple[float, ...]
) -> ImageData:
    return ImageData(splits["train"], splits.get("test"), classes, mean, std, flip=True, valid=splits.get("valid"))
