"""One image file as pixels: upright, opaque, 8 bits, of one size.

Greys of more than 8 bits (`I;16`, `I`, `F` in Pillow) do not say what is white: 12 bits may stand in a PNG of 16, and
0 … 1 in a float TIFF. So the highest value in all files of a folder decides, see `common_white`; all are scaled alike.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hpcli.data.threads import in_order
from hpcli.errors import DataError, HpcliWarning

if TYPE_CHECKING:
    from PIL.Image import Image

Pixels = NDArray[np.uint8]
INTEGERS = (1, 2**8 - 1, 2**12 - 1, 2**16 - 1, 2**24 - 1, 2**31 - 1)
REALS = (1, 2**8 - 1, 2**12 - 1, 2**16 - 1)
"""What may be white in images of more than 8 bits: the first of these that holds all of them."""
OVERSHOOT = 2.0
"""Floats may exceed white, where they were resampled; what is so far above it is cut off."""
UNDERSHOOT = 0.05
"""The same below black, as a share of white."""
REPORT_EVERY = 100
"""Files."""
PROGRAMS = {"EPS", "WMF", "MPEG", "PDF", "HDF5", "GRIB", "BUFR"}
"""Formats of Pillow that are no pixels, or would start another program."""

OnDecode = Callable[[int, int], None]
"""Told (files done, files in all) while decoding."""


def silent(done: int, total: int) -> None:
    """Decoding that nobody watches."""


@dataclass(frozen=True)
class White:
    """The value that becomes 255, of greys that are integers and of those that are floats."""

    integer: int = 2**16 - 1
    real: int = 1


@dataclass(frozen=True)
class ImageFormat:
    """What a network knows of its images before it sees any; files are decoded to it."""

    channels: int  # 1 for grey, 3 for colour
    size: tuple[int, int] | None = None  # height, width; None: not known
    white: White | None = None  # of greys of more than 8 bits; None: there were none, or it is not known

    def suits(self, channels: int, white: White | None) -> bool:
        """Whether images of so many channels, scaled by that white, are of this format as far as is known."""
        return channels == self.channels and (white == self.white or None in (white, self.white))


class Header(NamedTuple):
    """What is known of a file before it is decoded."""

    size: tuple[int, int]  # height, width, as they will be decoded
    is_grey: bool
    mode: str
    highest: float | None  # of more than 8 bits; None: it has 8, or cannot be scaled


def decode(file: Path, image_size: int | None, channels: int, white: White | None = None) -> Pixels:
    """One file as uint8 [H, W, C].

    Args:
        file: in any format that Pillow reads; of an animation the first picture; turned upright as its camera says.
        image_size: S: the shorter side is scaled to S (bilinear, antialiased), the middle S × S cut out; None: as is.
        channels: 1 for grey, 3 for colour; transparency is put on black.
        white: of greys of more than 8 bits; None: 65535 of integers, 1 of floats.

    Raises:
        ValueError: values that no scale of greys has. Pillow raises other exceptions for damaged files.
    """
    from PIL import ImageOps

    with _opened(file) as image:
        if image_size is not None:
            image.draft("RGB" if channels == 3 else "L", (image_size, image_size))
        picture = ImageOps.exif_transpose(image)
        picture = _flat(picture, white or White()).convert("RGB" if channels == 3 else "L")
        pixels = np.asarray(picture if image_size is None else fitted(picture, image_size), np.uint8)
    return pixels.reshape(*pixels.shape[:2], channels)


def fitted(picture: Image, image_size: int) -> Image:
    """A picture whose shorter side is scaled to S (bilinear, antialiased), and the middle S × S of it."""
    from PIL import Image, ImageOps

    return ImageOps.fit(picture, (image_size, image_size), Image.Resampling.BILINEAR)


def why_unreadable(error: Exception) -> str:
    """The reason in an exception that `decode` raised, without the name of the file."""
    return str(error).split("'")[0].strip() or type(error).__name__


def is_image(file: Path) -> bool:
    """Whether Pillow takes a file for an image, by its content."""
    try:
        with warnings.catch_warnings(), _opened(file):
            warnings.simplefilter("ignore")
            return True
    except Exception:  # Pillow raises whatever a file leads it to
        return False


def read_headers(files: Sequence[Path], on_decode: OnDecode = silent) -> list[Header | None]:
    """The headers of all files; None where one cannot be opened, which decoding names the reason of.

    Args:
        files: of images.
        on_decode: told now and then that none is decoded yet.
    """
    found = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's, of single files
        for index, header in enumerate(in_order(_header, files)):
            found.append(header)
            if (index + 1) % REPORT_EVERY == 0:
                on_decode(0, len(files))
    return found


def common_shape(
    files: Sequence[Path], headers: Sequence[Header | None], image_size: int | None
) -> tuple[int, int, int, int]:
    """[N, H, W, C] of all images together.

    Raises:
        DataError: they differ in size, and no `image_size` is given.
    """
    known = [(file, header) for file, header in zip(files, headers, strict=True) if header is not None]
    channels = 1 if known and all(header.is_grey for _, header in known) else 3
    if image_size is not None or not known:
        return len(files), image_size or 1, image_size or 1, channels
    first, size = known[0][0], known[0][1].size
    for file, header in known:
        if header.size != size:
            sizes = f"{first} is {size[1]}×{size[0]}, {file} {header.size[1]}×{header.size[0]}"
            raise DataError(f"images differ in size: {sizes}; set data.image_size, for example to 64")
    return len(files), *size, channels


def common_white(headers: Iterable[Header | None]) -> White | None:
    """What is white in all images of more than 8 bits; a warning says it where it is not the whole of 16 bits, or 1.

    None: there are no such images.
    """
    deep = [(each.mode == "F", each.highest) for each in headers if each is not None and each.highest is not None]
    integers, reals = ([high for is_real, high in deep if is_real == wanted] for wanted in (False, True))
    if not deep:
        return None
    usual = White()
    white = White(
        next((each for each in INTEGERS if each >= max(integers)), INTEGERS[-1]) if integers else usual.integer,
        next((each for each in REALS if OVERSHOOT * each >= max(reals)), REALS[-1]) if reals else usual.real,
    )
    for own, expected, found in ((white.integer, usual.integer, integers), (white.real, usual.real, reals)):
        if own != expected:
            warnings.warn(
                f"{len(found)} images of more than 8 bits hold values up to {max(found):.6g}: {own} is taken for white",
                HpcliWarning,
                stacklevel=2,
            )
    return white


def _opened(file: Path) -> Image:
    from PIL import Image

    return Image.open(file, formats=_formats())


@cache
def _formats() -> tuple[str, ...]:
    from PIL import Image

    Image.init()
    return tuple(each for each in Image.OPEN if each not in PROGRAMS)


def _header(file: Path) -> Header | None:
    try:
        with _opened(file) as image:
            turned = image.getexif().get(0x0112, 1) >= 5
            size = image.size if turned else image.size[::-1]
            is_grey = image.mode in ("1", "L", "LA") or _is_deep(image.mode)
            return Header(size, is_grey, image.mode, _highest(image) if _is_deep(image.mode) else None)
    except Exception:  # Pillow raises whatever a damaged file leads it to; decoding names the reason
        return None


def _highest(image: Image) -> float | None:
    """The highest value; None where no white fits the values, so that one odd file does not darken the others."""
    values = np.asarray(image)
    low, high, white = float(values.min()), float(values.max()), (REALS if image.mode == "F" else INTEGERS)[-1]
    return high if low >= -UNDERSHOOT * max(high, 1) and high <= OVERSHOOT * white else None  # NaN is None, too


def _is_deep(mode: str) -> bool:
    return mode == "F" or mode.startswith("I")


def _flat(picture: Image, white: White) -> Image:
    """Without transparency, and with 8 bits."""
    from PIL import Image

    if _is_deep(picture.mode):
        is_real = picture.mode == "F"
        return Image.fromarray(_eight_bits(np.asarray(picture), white.real if is_real else white.integer))
    if picture.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in picture.info:
        coloured = picture.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", coloured.size, (0, 0, 0, 255)), coloured)
    return picture


def _eight_bits(values: NDArray[np.generic], white: int) -> Pixels:
    scaled = values.astype(np.float64) / white
    low, high = scaled.min(), scaled.max()
    if not (low >= -UNDERSHOOT and high <= OVERSHOOT):  # so that NaN is refused
        raise ValueError(f"its values go from {low * white:.4g} to {high * white:.4g}: convert it to 8 bits")
    return np.round(scaled.clip(0, 1) * 255).astype(np.uint8)
