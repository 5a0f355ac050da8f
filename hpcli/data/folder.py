"""Image folders in ImageNet's layout: `train/<class>/…`, and beside it `valid/` or `val/`, and `test/`.

Listing the files is quick and is done every time; decoding them is done once (`decode_cache`).
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hpcli.data.dataset import ImageData, Split, channel_statistics
from hpcli.data.decode_cache import Decoded, OnDecode, decoded, silent
from hpcli.errors import DataError, HpcliWarning

SUFFIXES = {".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp"}
NAMED = 3
"""So many unreadable files are named; the rest are counted."""


@dataclass(frozen=True)
class Listing:
    """The image files of a part, in the order of their names, with their labels."""

    files: list[Path]
    labels: NDArray[np.int64]


def folder(
    root: Path,
    image_size: int | None = None,
    cache_dir: Path | None = None,
    *,
    list_only: bool = False,
    on_decode: OnDecode = silent,
) -> ImageData:
    """Read an image folder.

    Args:
        root: holds `train/<class>/…`; `valid/` (or `val/`) and `test/` where there are such.
        image_size: shorter side scaled to it, the middle cut out; None: as they are, all of one size.
        cache_dir: where decoded images are kept; None: the user's cache folder.
        list_only: count the files and decode none; the images are empty arrays.
        on_decode: told how many files are decoded, and of how many.

    Raises:
        DataError: nothing to learn from, naming what is missing and where.
    """
    classes = _classes(root)
    parts = {"train": root / "train", "valid": _first_of(root / "valid", root / "val"), "test": root / "test"}
    listings = {name: _listed(path, classes) for name, path in parts.items() if path.is_dir()}
    _check_listings(root, listings, classes)
    if list_only:
        splits = {
            name: Split(np.empty((len(each.files), 0, 0, 3), np.uint8), each.labels) for name, each in listings.items()
        }
        return _image_data(splits, classes, (0.0,) * 3, (1.0,) * 3)
    files = [file for listing in listings.values() for file in listing.files]
    images = decoded(files, root, image_size=image_size, cache_dir=cache_dir, on_decode=on_decode)
    splits = _cut(images, listings)
    _report_unreadable(root, files, images.unreadable)
    if not all(len(split) for split in splits.values()):
        raise DataError(
            f"{root}: no readable image in {', '.join(name for name, each in splits.items() if not len(each))}/"
        )
    return _image_data(splits, classes, *channel_statistics(splits["train"].images))


def _classes(root: Path) -> tuple[str, ...]:
    if not (root / "train").is_dir():
        raise DataError(
            f"{root}: no folder train/ in it; data.root holds train/<class>/… (and valid/<class>/…, test/<class>/…)"
        )
    classes = tuple(sorted(path.name for path in _folders(root / "train")))
    if len(classes) < 2:
        found = f"only the class {classes[0]}" if classes else "no class folder"
        raise DataError(f"{root / 'train'}: {found}; at least two are needed, train/<class>/…")
    return classes


def _folders(path: Path) -> list[Path]:
    return [each for each in path.iterdir() if each.is_dir() and not each.name.startswith(".")]


def _first_of(*paths: Path) -> Path:
    return next((path for path in paths if path.is_dir()), paths[0])


def _listed(part: Path, classes: tuple[str, ...]) -> Listing:
    """All image files of a part.

    Raises:
        DataError: a class that there is nothing to train for.
    """
    unknown = sorted({path.name for path in _folders(part)} - set(classes))
    if unknown:
        raise DataError(f"{part / unknown[0]}: a class that train/ does not have; add it there, or take it away here")
    files: list[Path] = []
    labels: list[int] = []
    for label, name in enumerate(classes):
        found = sorted(file for file in (part / name).rglob("*") if file.suffix.lower() in SUFFIXES)
        files += found
        labels += [label] * len(found)
    return Listing(files, np.array(labels, np.int64))


def _check_listings(root: Path, listings: dict[str, Listing], classes: tuple[str, ...]) -> None:
    for part, listing in listings.items():
        counts = np.bincount(listing.labels, minlength=len(classes))
        missing = [name for name, count in zip(classes, counts, strict=True) if not count]
        if part == "train" and missing:
            raise DataError(
                f"{root / part / missing[0]}: no image in it (looked for {', '.join(sorted(SUFFIXES))}); "
                "add some, or remove the folder"
            )
        if missing:
            names = ", ".join(missing[:NAMED]) + (" …" if len(missing) > NAMED else "")
            warnings.warn(
                f"{root / part}: no images of {names}; what is measured there says nothing of them",
                HpcliWarning,
                stacklevel=2,
            )


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


def _report_unreadable(root: Path, files: list[Path], bad: dict[int, str]) -> None:
    if bad:
        names = "; ".join(f"{files[index]} ({bad[index]})" for index in list(bad)[:NAMED])
        more = f" and {len(bad) - NAMED} more" if len(bad) > NAMED else ""
        warnings.warn(
            f"{root}: {len(bad)} of {len(files)} images cannot be read and are left out: {names}{more}",
            HpcliWarning,
            stacklevel=2,
        )


def _image_data(
    splits: dict[str, Split], classes: tuple[str, ...], mean: tuple[float, ...], std: tuple[float, ...]
) -> ImageData:
    return ImageData(splits["train"], splits.get("test"), classes, mean, std, flip=True, valid=splits.get("valid"))
