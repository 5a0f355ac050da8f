"""Image files without labels: found under files and folders, and decoded a batch at a time.

Letters: N images in a batch, H × W pixels, C channels.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hpcli.data.decode import ImageFormat, Pixels, decode, read_headers, why_unreadable
from hpcli.data.listing import image_files, some
from hpcli.data.threads import threads_for
from hpcli.errors import DataError, HpcliWarning

Read = Callable[[Path], Pixels | str]
"""A file → its pixels, or why it cannot be read."""


@dataclass(frozen=True)
class PictureBatch:
    """Some files in their order: the images of those that can be read, and why others cannot."""

    files: tuple[Path, ...]
    pixels: Pixels  # uint8 [N, H, W, C], of the files that are not in `unreadable`
    unreadable: dict[int, str]  # place in `files` → reason


def find_images(places: Sequence[Path]) -> list[Path]:
    """The image files among files and under folders, each once, in the order given; a folder's by path.

    A file that is named is taken whatever it is; of a folder's files those that are no images are a warning.

    Raises:
        DataError: a place is not there, or there is no image.
    """
    found: dict[Path, Path] = {}  # resolved → as it was named
    others: list[Path] = []
    for place in places:
        if not place.exists() and not place.is_symlink():
            raise DataError(f"{place}: no such file or folder; name image files, or folders that hold some")
        images, no_images = image_files(place) if place.is_dir() else ([place], [])
        others += no_images
        for each in images:
            found.setdefault(each.resolve(), each)
    if not found:
        raise DataError(
            f"{', '.join(map(str, places[:3]))}: no image in it; name image files, or folders that hold some"
        )
    if others:
        names, count = some([f'"{each}"' for each in others]), len(others)
        what = "1 file that is no image" if count == 1 else f"{count} files that are no images"
        warnings.warn(f"not used: {what}: {names}", HpcliWarning, stacklevel=2)
    return list(found.values())


def size_of_first(files: Sequence[Path]) -> tuple[int, int]:
    """Height and width of the first file that can be opened.

    Raises:
        DataError: none can.
    """
    for file in files:
        (header,) = read_headers([file])
        if header is not None:
            return header.size
    more = f", nor can {len(files) - 1} others" if len(files) > 1 else ""
    raise DataError(f"{files[0]}: cannot be read as an image{more}; name photographs or drawings")


def read_batches(
    files: Sequence[Path], form: ImageFormat, *, image_size: int | None, at_once: int
) -> Iterator[PictureBatch]:
    """The files as batches of pixels; while one is used, the next is decoded.

    Args:
        files: of images.
        form: what they are decoded to; its size must be known.
        image_size: as `decode`'s; None: a file of another size than the format's counts as unreadable.
        at_once: files in a batch. Two batches are in memory at most.
    """

    def read(file: Path) -> Pixels | str:
        """A file as the network wants it, or the reason why not."""
        try:
            pixels = decode(file, image_size, form.channels, form.white)
        except Exception as error:  # Pillow raises whatever a damaged file leads it to
            return why_unreadable(error)
        return pixels if pixels.shape[:2] == form.size else _other_size(pixels, form.size)

    parts = [tuple(files[start : start + at_once]) for start in range(0, len(files), at_once)]
    with warnings.catch_warnings(), ThreadPoolExecutor(threads_for(read, files)) as pool:
        warnings.filterwarnings("ignore", module=r"PIL\.")  # of single files; the caller's own go on
        waiting = _submitted(pool, read, parts[0]) if parts else []
        for part, after in zip(parts, [*parts[1:], ()], strict=True):
            here, waiting = waiting, _submitted(pool, read, after)
            yield _batch(part, [each.result() for each in here], form)


def _submitted(pool: ThreadPoolExecutor, read: Read, files: Sequence[Path]) -> list[Future[Pixels | str]]:
    return [pool.submit(read, file) for file in files]


def _batch(files: tuple[Path, ...], read: Sequence[Pixels | str], form: ImageFormat) -> PictureBatch:
    pixels = [each for each in read if not isinstance(each, str)]
    empty = np.empty((0, *(form.size or (1, 1)), form.channels), np.uint8)
    reasons = {place: each for place, each in enumerate(read) if isinstance(each, str)}
    return PictureBatch(files, np.stack(pixels) if pixels else empty, reasons)


def _other_size(pixels: Pixels, size: tuple[int, int] | None) -> str:
    height, width = size or (0, 0)
    here = f"{pixels.shape[1]}×{pixels.shape[0]}"
    return f"is {here}, and the network knows {width}×{height}; --image-size {min(height, width)} scales images"
