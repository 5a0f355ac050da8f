"""What cameras, scanners and microscopes write, as pixels: never black in silence."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageOps

from hpcli.data.decode import common_white, decode, read_headers
from hpcli.data.decode_cache import decoded
from hpcli.data.folder import folder
from hpcli.errors import DataError, HpcliWarning

RAMP = np.linspace(0, 1, 64).reshape(8, 8)
GREY = np.round(RAMP * 255).astype(np.uint8)


def deep(
    root: Path, top: float, kind: type[np.generic], suffix: str, shares: tuple[float, ...] = (1.0, 0.5)
) -> list[Path]:
    """Images from black up to `top`, and others up to a share of it."""
    root.mkdir(parents=True)
    for number, share in enumerate(shares):
        values = RAMP * top * share
        Image.fromarray(values.astype(kind) if kind is np.float32 else np.round(values).astype(kind)).save(
            root / f"{number}{suffix}"
        )
    return sorted(root.iterdir())


def read(files: list[Path]) -> NDArray[np.uint8]:
    found = decoded(files, files[0].parent, image_size=None, cache_dir=files[0].parents[1] / "cache")
    assert not found.unreadable, found.unreadable
    return found.pixels[..., 0]


@pytest.mark.parametrize(
    ("top", "kind", "suffix", "says"),
    [
        (1.0, np.float32, ".tif", None),
        (1.01, np.float32, ".tif", None),
        (255, np.float32, ".tif", "255 is taken for white"),
        (65535, np.float32, ".tif", "65535 is taken for white"),
        (65535, np.uint16, ".png", None),
        (4095, np.uint16, ".png", "2 images of more than 8 bits hold values up to 4095: 4095 is taken for white"),
        (255, np.uint16, ".png", "255 is taken for white"),
        (4095, np.uint16, ".tif", "4095 is taken for white"),
        (65535, np.int32, ".tif", None),
        (255, np.int32, ".tif", "255 is taken for white"),
        (2**31 - 1, np.int32, ".tif", "2147483647 is taken for white"),
    ],
)
def test_deep_greys_have_the_whole_range_and_are_scaled_alike(
    top: float, kind: type[np.generic], suffix: str, says: str | None, tmp_path: Path
) -> None:
    files = deep(tmp_path / "images", top, kind, suffix)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        bright, dim = read(files)
    assert [says] == [next((says for each in said if says and says in str(each.message)), None)]
    assert len(said) == (says is not None)
    assert np.abs(bright.astype(int) - GREY).max() <= 3
    assert np.abs(dim.astype(int) - GREY / 2).max() <= 2


@pytest.mark.parametrize(
    ("values", "why"),
    [
        (RAMP * 2 - 1, "its values go from -1 to 1: convert it to 8 bits"),
        (np.where(RAMP > 0.5, np.nan, RAMP), "its values go from nan to nan"),
        (RAMP * 1e9, "its values go from 0 to 1e+09"),
    ],
)
def test_deep_greys_without_a_scale_are_named_and_left_out(
    values: NDArray[np.float64], why: str, tmp_path: Path
) -> None:
    for part in ("cat", "dog"):
        deep(tmp_path / "images/train" / part, 1, np.float32, ".tif")
    Image.fromarray(values.astype(np.float32)).save(tmp_path / "images/train/dog/odd.tif")
    with pytest.warns(
        HpcliWarning, match='not used: 1 of 5 images, which cannot be read: "train/dog/odd.tif"'
    ) as found:
        data = folder(tmp_path / "images", cache_dir=tmp_path / "cache")
    assert len(found) == 1
    assert why in str(found[0].message)
    assert len(data.train) == 4
    assert data.train.images.max(axis=(1, 2, 3)).tolist() == [255, 128] * 2


def test_a_class_of_which_nothing_can_be_read_is_an_error(tmp_path: Path) -> None:
    for part in ("cat", "dog"):
        (tmp_path / "images/train" / part).mkdir(parents=True)
        Image.fromarray(GREY).save(tmp_path / "images/train" / part / "0.png")
    (tmp_path / "images/train/dog/0.png").write_text("no image")
    with pytest.raises(DataError, match="train/dog: none of its 1 files can be read as an image; replace them"):
        folder(tmp_path / "images", cache_dir=tmp_path / "cache")


def _saved(path: Path, picture: Image.Image, **more: object) -> Path:
    picture.save(path, **more)  # type: ignore[arg-type]
    return path


def test_pictures_of_every_mode_keep_their_light(tmp_path: Path) -> None:
    """Grey, 1-bit, palette, with transparency, CMYK: white stays white, black black, and mid grey between."""
    grey = Image.fromarray(GREY)
    pictures = {
        "grey.png": grey,
        "palette.png": grey.convert("P"),
        "colour.png": grey.convert("RGB"),
        "opaque.png": grey.convert("RGBA"),
        "grey_opaque.png": grey.convert("LA"),
        "print.jpg": grey.convert("RGB").convert("CMYK"),
        "print.tif": grey.convert("RGB").convert("CMYK"),
        "video.tif": grey.convert("RGB").convert("YCbCr"),
        "turned.jpg": grey,
    }
    for name, picture in pictures.items():
        for channels in (1, 3):
            found = decode(_saved(tmp_path / name, picture), None, channels)
            assert np.abs(found[..., -1].astype(int) - GREY).max() <= 8, (name, channels)
    one_bit = _saved(tmp_path / "bits.png", grey.convert("1", dither=Image.Dither.NONE))
    assert np.array_equal(decode(one_bit, None, 1)[..., 0], np.where(GREY >= 128, 255, 0))


def test_of_an_animation_the_first_picture(tmp_path: Path) -> None:
    frames = [Image.new("L", (8, 8), shade) for shade in (200, 10)]
    _saved(tmp_path / "moving.gif", frames[0], save_all=True, append_images=frames[1:])
    assert (decode(tmp_path / "moving.gif", None, 1) == 200).all()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_cameras_are_held_in_eight_ways(orientation: int, tmp_path: Path) -> None:
    about = Image.Exif()
    about[0x0112] = orientation
    picture = Image.fromarray(np.arange(48, dtype=np.uint8).reshape(6, 8) * 5)
    _saved(tmp_path / "photo.png", picture, exif=about)
    expected = ImageOps.exif_transpose(Image.open(tmp_path / "photo.png"))
    assert np.array_equal(decode(tmp_path / "photo.png", None, 1)[..., 0], np.asarray(expected))
    (header,) = read_headers([tmp_path / "photo.png"])
    assert header is not None
    assert header.size == expected.size[::-1]


def test_nothing_deep_says_nothing() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert common_white([None]) is None
