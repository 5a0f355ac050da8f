"""Image files decoded once into one memory-mapped array, under a key of what the files are and of the settings.

The key has each file's name, size, times and its first and last bytes in it, so that neither another folder nor a file
that was overwritten is taken for the one that was decoded. The array is verified by its SHA-256 before it is used. A
cache can be deleted at any time.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path

import numpy as np

from hpcli.data.decode import (
    REPORT_EVERY,
    ImageFormat,
    OnDecode,
    Pixels,
    White,
    common_shape,
    common_white,
    decode,
    read_headers,
    silent,
    why_unreadable,
)
from hpcli.data.threads import in_order
from hpcli.errors import DataError, HpcliWarning
from hpcli.files import sync_folder, write_atomic

VERSION = 2
"""Changes when decoding changes, so that older caches are not used."""
BLOCK = 16 * 1024
"""Bytes at a file's start and end that are in the key: all of a small image."""
UNFINISHED, LOCK = "decoding-", ".lock"


@dataclass(frozen=True)
class Decoded:
    """All files of a folder as one array; those that cannot be read are black and listed."""

    pixels: Pixels  # [N, H, W, C], C is 1 where all images are grey, else 3
    unreadable: dict[int, str]  # index → reason
    white: White | None = None  # of greys of more than 8 bits; None: there are none, or an older hpcli decoded them


def user_cache() -> Path:
    """The user's cache folder: XDG_CACHE_HOME, or ~/.cache."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path("~/.cache").expanduser()) / "hpcli"


def decoded(
    files: Sequence[Path],
    root: Path,
    *,
    image_size: int | None,
    cache_dir: Path | None,
    on_decode: OnDecode = silent,
    known: ImageFormat | None = None,
) -> Decoded:
    """Decode image files in parallel, or open what was decoded before.

    Args:
        files: N files under `root`.
        root: the key holds their names relative to it.
        image_size: see `decode`.
        cache_dir: where arrays are kept; None: the user's cache. One that cannot be written is a warning.
        on_decode: told the progress; not called where nothing has to be decoded.
        known: the channels and the white that a network knows; None: what the files themselves have.

    Raises:
        DataError: no image can be read, or they differ in size and no `image_size` is given.
    """
    cache = cache_dir or user_cache()
    named = sorted((str(file.relative_to(root)), *_state(file)) for file in files)
    as_they_are = cache / _key(named, image_size)
    place = as_they_are if known is None else cache / _key(named, image_size, known)
    for each in dict.fromkeys((as_they_are, place)):
        found = _open(each)
        if found is not None and (known is None or known.suits(found.pixels.shape[3], found.white)):
            return found
    headers = read_headers(files, on_decode)
    shape = common_shape(files, headers, image_size)
    shape = shape if known is None else (*shape[:3], known.channels)
    white = (known.white if known is not None else None) or common_white(headers)
    with _new_folder(place.parent) as unfinished:
        pixels = _new_array(unfinished, shape)
        unreadable = _decode_all(files, pixels, image_size, white, on_decode)
        if len(unreadable) == len(files):
            first = f"{files[0]} ({unreadable[0]})"
            raise DataError(f"{root}: none of its {len(files)} files can be read as an image: {first}")
        if unfinished is None:
            return Decoded(pixels, unreadable, white)
        if isinstance(pixels, np.memmap):
            pixels.flush()
        pixels = np.load(unfinished / "images.npy", mmap_mode="r")  # by this name nobody else removes it
        _finish(unfinished, place, unreadable, white)
        return Decoded(pixels, unreadable, white)


def _key(named: Sequence[tuple[object, ...]], image_size: int | None, known: ImageFormat | None = None) -> str:
    what: dict[str, object] = {"version": VERSION, "image_size": image_size, "files": named}
    if known is not None:
        what["known"] = [known.channels, known.white and astuple(known.white)]
    return hashlib.sha256(json.dumps(what).encode("utf-8", "surrogateescape")).hexdigest()[:32]


def _state(file: Path) -> tuple[int, int, int, str]:
    """Size, times of the last change of content and of anything, hash of the ends; of a dead link nothing.

    The second time is the kernel's own: it cannot be set back, as the first can.
    """
    try:
        with file.open("rb", buffering=0) as content:
            status = os.fstat(content.fileno())
            ends = content.read(BLOCK)
            if status.st_size > BLOCK:
                content.seek(max(BLOCK, status.st_size - BLOCK))
                ends += content.read(BLOCK)
    except OSError:
        return -1, -1, -1, ""
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns, hashlib.sha256(ends).hexdigest()


def _open(place: Path) -> Decoded | None:
    """What was decoded before; None: nothing, or it is damaged, which is a warning."""
    try:
        index = json.loads((place / "index.json").read_bytes())
        if index["own_sha256"] != _checksum(index) or index["sha256"] != _hash(place / "images.npy"):
            raise ValueError("another SHA-256")
        unreadable = {int(number): str(reason) for number, reason in index["unreadable"].items()}
        white = White(*index["white"]) if index.get("white") else None
        return Decoded(np.load(place / "images.npy", mmap_mode="r"), unreadable, white)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        if place.exists():
            why = getattr(error, "strerror", None) or error
            warnings.warn(f"{place}: damaged ({why}); images are decoded again", HpcliWarning, stacklevel=3)
        return None


def _finish(unfinished: Path, place: Path, unreadable: dict[int, str], white: White | None) -> None:
    """Put what has been decoded in its place, durably; the index is written last."""
    index: dict[str, object] = {
        "sha256": _hash(unfinished / "images.npy"),
        "unreadable": {str(number): reason for number, reason in unreadable.items()},
        "white": white and list(astuple(white)),
    }
    write_atomic(unfinished / "index.json", json.dumps({**index, "own_sha256": _checksum(index)}).encode())
    if place.exists():  # damaged, or another process was quicker; either way this one is whole
        shutil.rmtree(place, ignore_errors=True)
    (unfinished / LOCK).unlink()
    with contextlib.suppress(OSError):  # another process was quicker
        unfinished.rename(place)
    sync_folder(place.parent)


def _hash(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _checksum(index: dict[str, object]) -> str:
    rest = {name: value for name, value in index.items() if name != "own_sha256"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()


@contextlib.contextmanager
def _new_folder(cache: Path) -> Iterator[Path | None]:
    """A folder to decode to, which is gone in the end; None, and a warning, if the cache cannot be written.

    It is locked while it is in use. Folders without a holder are a killed process's, and are removed.
    """
    try:
        cache.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(cache)
        folder = Path(tempfile.mkdtemp(prefix=UNFINISHED, dir=cache))
        lock = (folder / LOCK).open("wb")
        fcntl.flock(lock, fcntl.LOCK_EX)
    except OSError as error:
        warnings.warn(
            f"{cache}: cannot be written ({error.strerror}); images will be decoded again next time, "
            "or set data.cache_dir",
            HpcliWarning,
            stacklevel=4,
        )
        yield None
        return
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        lock.close()


def _remove_abandoned(cache: Path) -> None:
    for folder in cache.glob(f"{UNFINISHED}*"):
        with contextlib.suppress(OSError), (folder / LOCK).open("rb") as lock:  # one without a lock has just begun
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)


def _new_array(folder: Path | None, shape: tuple[int, ...]) -> Pixels:
    if folder is None:
        return np.zeros(shape, np.uint8)
    array: Pixels = np.lib.format.open_memmap(folder / "images.npy", mode="w+", dtype=np.uint8, shape=shape)
    with (folder / "images.npy").open("r+b") as file:  # a disk too small says so now; later it is a SIGBUS
        os.posix_fallocate(file.fileno(), 0, os.fstat(file.fileno()).st_size)
    return array


def _decode_all(
    files: Sequence[Path], pixels: Pixels, image_size: int | None, white: White | None, on_decode: OnDecode
) -> dict[int, str]:
    def put(index: int) -> str | None:
        """Decode a file to its place; why it cannot be."""
        try:
            pixels[index] = decode(files[index], image_size, pixels.shape[3], white)
        except Exception as error:  # Pillow raises whatever a damaged file leads it to
            return why_unreadable(error)
        return None

    unreadable = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's, of single files
        for index, reason in enumerate(in_order(put, range(len(files)))):
            if reason is not None:
                unreadable[index] = reason
            if (index + 1) % REPORT_EVERY == 0 or index + 1 == len(files):
                on_decode(index + 1, len(files))
    return unreadable
