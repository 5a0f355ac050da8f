"""Image files decoded once into one memory-mapped array, under a key of their names, sizes, times and the settings.

A file that changes, comes or goes gives another key, so a cache is never stale; it can be deleted at any time.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hpcli.errors import DataError, HpcliWarning

if TYPE_CHECKING:
    from PIL.Image import Image

VERSION = 1
"""Changes when decoding changes, so that older caches are not used."""
REPORT_EVERY = 100

Pixels = NDArray[np.uint8]
OnDecode = Callable[[int, int], None]
"""Told (files done, files in all) while decoding."""


def silent(done: int, total: int) -> None:
    """Decoding that nobody watches."""


@dataclass(frozen=True)
class Decoded:
    """All files of a folder as one array; those that cannot be read are black and listed."""

    pixels: Pixels  # [N, H, W, C], C is 1 where all images are grey, else 3
    unreadable: dict[int, str]  # index → reason


def user_cache() -> Path:
    """The user's cache folder: XDG_CACHE_HOME, or ~/.cache."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path("~/.cache").expanduser()) / "hpcli"


def decoded(
    files: Sequence[Path], root: Path, *, image_size: int | None, cache_dir: Path | None, on_decode: OnDecode = silent
) -> Decoded:
    """Decode image files in parallel, or open what was decoded before.

    Args:
        files: N files under `root`.
        root: the key holds their names relative to it.
        image_size: see `decode`.
        cache_dir: where arrays are kept; None: the user's cache. One that cannot be written is a warning.
        on_decode: told the progress; not called where nothing has to be decoded.

    Raises:
        DataError: no image can be read, or they differ in size and no `image_size` is given.
    """
    place = (cache_dir or user_cache()) / _key(files, root, image_size)
    if (place / "index.json").is_file():
        index = json.loads((place / "index.json").read_text())
        unreadable = {int(number): str(reason) for number, reason in index["unreadable"].items()}
        return Decoded(np.load(place / "images.npy", mmap_mode="c"), unreadable)
    shape = _common_shape(files, image_size)
    unfinished = _new_folder(place.parent)
    try:
        pixels = _new_array(unfinished, shape)
        unreadable = _decode_all(files, pixels, image_size, on_decode)
        if len(unreadable) == len(files):
            first = f"{files[0]} ({unreadable[0]})"
            raise DataError(f"{root}: none of its {len(files)} files can be read as an image: {first}")
        if unfinished is not None:
            if isinstance(pixels, np.memmap):
                pixels.flush()
            (unfinished / "index.json").write_text(json.dumps({"unreadable": unreadable}))
            with contextlib.suppress(OSError):  # another process was quicker
                unfinished.rename(place)
            pixels = np.load(place / "images.npy", mmap_mode="c")
    finally:
        if unfinished is not None:
            shutil.rmtree(unfinished, ignore_errors=True)
    return Decoded(pixels, unreadable)


def decode(file: Path, image_size: int | None, channels: int) -> Pixels:
    """One file as uint8 [H, W, C].

    Args:
        file: in any format that Pillow reads; of an animation the first picture; turned upright as its camera says.
        image_size: S: the shorter side is scaled to S (bilinear, antialiased), the middle S × S cut out; None: as is.
        channels: 1 for grey, 3 for colour; transparency is put on black.
    """
    from PIL import Image, ImageOps

    with Image.open(file) as image:
        if image_size is not None:
            image.draft("RGB" if channels == 3 else "L", (image_size, image_size))
        picture = ImageOps.exif_transpose(image)
        picture = _flat(picture).convert("RGB" if channels == 3 else "L")
        if image_size is not None:
            picture = ImageOps.fit(picture, (image_size, image_size), Image.Resampling.BILINEAR)
        pixels = np.asarray(picture, np.uint8)
    return pixels.reshape(*pixels.shape[:2], channels)


def _flat(picture: Image) -> Image:
    """Without transparency, and with 16 bits brought to 8."""
    from PIL import Image

    if picture.mode.startswith("I"):
        return Image.fromarray((np.asarray(picture) / 257).clip(0, 255).astype(np.uint8))
    if picture.mode in ("LA", "PA", "RGBA") or "transparency" in picture.info:
        coloured = picture.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", coloured.size, (0, 0, 0, 255)), coloured)
    return picture


def _key(files: Sequence[Path], root: Path, image_size: int | None) -> str:
    states = sorted((str(file.relative_to(root)), *_state(file)) for file in files)
    what = {"version": VERSION, "image_size": image_size, "files": states}
    return hashlib.sha256(json.dumps(what).encode("utf-8", "surrogateescape")).hexdigest()[:32]


def _state(file: Path) -> tuple[int, int]:
    """Size and time of the last change; of a dead link neither."""
    try:
        status = file.stat()
    except OSError:
        return -1, -1
    return status.st_size, status.st_mtime_ns


def _header(file: Path) -> tuple[tuple[int, int], bool] | None:
    """Height and width as they will be decoded, and whether the image is grey; None if it cannot be opened."""
    from PIL import Image

    try:
        with Image.open(file) as image:
            turned = image.getexif().get(0x0112, 1) >= 5
            size = image.size if turned else image.size[::-1]
            return size, image.mode in ("1", "L", "LA") or image.mode.startswith("I")
    except Exception:  # Pillow raises whatever a damaged file leads it to; decoding names the reason
        return None


def _common_shape(files: Sequence[Path], image_size: int | None) -> tuple[int, int, int, int]:
    """[N, H, W, C] of all images together."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        headers = list(pool.map(_header, files, chunksize=64))
    known = [(file, header) for file, header in zip(files, headers, strict=True) if header is not None]
    channels = 1 if known and all(grey for _, (_, grey) in known) else 3
    if image_size is not None or not known:
        return len(files), image_size or 1, image_size or 1, channels
    first, (size, _) = known[0]
    for file, (other, _) in known:
        if other != size:
            sizes = f"{first.name} is {size[1]}×{size[0]}, {file} {other[1]}×{other[0]}"
            raise DataError(f"images differ in size: {sizes}; set data.image_size, for example to 64")
    return len(files), *size, channels


def _new_folder(cache: Path) -> Path | None:
    """Where to decode to; None, and a warning, if the cache cannot be written."""
    try:
        cache.mkdir(parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(prefix="decoding-", dir=cache))
    except OSError as error:
        warnings.warn(
            f"{cache}: cannot be written ({error.strerror}); images will be decoded again next time, "
            "or set data.cache_dir",
            HpcliWarning,
            stacklevel=2,
        )
        return None


def _new_array(folder: Path | None, shape: tuple[int, ...]) -> Pixels:
    if folder is None:
        return np.zeros(shape, np.uint8)
    array: Pixels = np.lib.format.open_memmap(folder / "images.npy", mode="w+", dtype=np.uint8, shape=shape)
    with (folder / "images.npy").open(
        "r+b"
    ) as file:  # a disk that is too small says so now; later it would be a SIGBUS
        os.posix_fallocate(file.fileno(), 0, os.fstat(file.fileno()).st_size)
    return array


def _decode_all(files: Sequence[Path], pixels: Pixels, image_size: int | None, on_decode: OnDecode) -> dict[int, str]:
    def put(index: int) -> str | None:
        try:
            pixels[index] = decode(files[index], image_size, pixels.shape[3])
        except Exception as error:  # see _header
            return str(error).split("'")[0].strip() or type(error).__name__
        return None

    unreadable = {}
    with warnings.catch_warnings(), ThreadPoolExecutor(os.cpu_count()) as pool:
        warnings.simplefilter("ignore")  # Pillow's, of single files
        for index, reason in enumerate(pool.map(put, range(len(files)), chunksize=16)):
            if reason is not None:
                unreadable[index] = reason
            if (index + 1) % REPORT_EVERY == 0 or index + 1 == len(files):
                on_decode(index + 1, len(files))
    return unreadable
