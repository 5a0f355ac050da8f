"""A cache of decoded images never serves other pixels, whatever happens to it or to the files."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hpcli.data import decode_cache
from hpcli.data.decode import ImageFormat
from hpcli.data.decode_cache import Decoded, decoded
from hpcli.errors import HpcliWarning


def write(root: Path, seed: int, size: int = 8, count: int = 4) -> list[Path]:
    """BMP files as a tar unpacks them: of the same names, sizes and times, whatever the pixels."""
    root.mkdir(exist_ok=True)
    random = np.random.default_rng(seed)
    for number in range(count):
        pixels = np.zeros((size, size, 3), np.uint8)
        pixels[size // 4 : -size // 4] = random.integers(0, 256, (len(pixels[size // 4 : -size // 4]), size, 3))
        Image.fromarray(pixels).save(root / f"{number}.bmp")
        os.utime(root / f"{number}.bmp", ns=(0, 0))
    return sorted(root.glob("*.bmp"))


def check(found: Decoded, files: list[Path]) -> None:
    assert not found.unreadable
    for pixels, file in zip(found.pixels, files, strict=True):
        assert np.array_equal(pixels, np.asarray(Image.open(file)))


def read(files: list[Path], cache: Path, **more: object) -> Decoded:
    return decoded(files, files[0].parent, image_size=None, cache_dir=cache, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("size", [8, 256])  # a whole file in the key, and one whose ends alone are in it, all black
def test_another_folder_of_the_same_names_sizes_and_times(tmp_path: Path, size: int) -> None:
    for seed, name in enumerate(("one", "other")):
        files = write(tmp_path / name, seed, size)
        check(read(files, tmp_path / "cache"), files)


@pytest.mark.parametrize("size", [8, 256])
def test_files_overwritten_with_their_times_kept(tmp_path: Path, size: int) -> None:
    for seed in range(3):
        files = write(tmp_path / "images", seed, size)
        check(read(files, tmp_path / "cache"), files)


def _cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-5])


def _empty(file: Path) -> None:
    file.write_bytes(b"")


def _flip(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[-3] ^= 4
    file.write_bytes(data)


def _flip_first(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[0] ^= 1
    file.write_bytes(data)


def _junk(file: Path) -> None:
    file.write_bytes(b"[[[]]]")


def _be_a_folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


@pytest.mark.parametrize("name", ["images.npy", "index.json"])
@pytest.mark.parametrize("damage", [_cut, _empty, _flip, _flip_first, _junk, Path.unlink, _be_a_folder])
def test_a_damaged_cache_is_decoded_again(tmp_path: Path, name: str, damage: Callable[[Path], None]) -> None:
    files = write(tmp_path / "images", 0)
    read(files, tmp_path / "cache")
    (place,) = (tmp_path / "cache").iterdir()
    assert {each.name for each in place.iterdir()} == {"images.npy", "index.json"}
    damage(place / name)
    with pytest.warns(HpcliWarning, match=r"damaged \(.*\); images are decoded again"):
        check(read(files, tmp_path / "cache"), files)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check(read(files, tmp_path / "cache", on_decode=lambda *_: pytest.fail("decoded")), files)
    assert list((tmp_path / "cache").iterdir()) == [place]


def test_what_a_killed_decode_leaves_is_removed_and_one_that_goes_on_is_not(tmp_path: Path) -> None:
    files, cache = write(tmp_path / "images", 0), tmp_path / "cache"
    code = (
        "import os, signal, sys\nfrom pathlib import Path\nfrom hpcli.data.decode_cache import decoded\n"
        "root = Path(sys.argv[1])\n"
        "decoded(sorted(root.glob('*')), root, image_size=None, cache_dir=Path(sys.argv[2]),\n"
        "        on_decode=lambda *_: (print('decoding', flush=True), sys.stdin.read()))\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "images"), str(cache)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        (unfinished,) = cache.glob("decoding-*")
        others = write(tmp_path / "others", 1)
        check(read(others, cache), others)
        assert unfinished.exists()
        process.kill()
    assert unfinished.exists()
    check(read(files, cache), files)
    assert not list(cache.glob("decoding-*"))
    assert len(list(cache.iterdir())) == 2


def test_another_process_may_be_quicker(tmp_path: Path) -> None:
    files, cache = write(tmp_path / "images", 0), tmp_path / "cache"

    def overtake(*_: int) -> None:
        read(files, cache)

    check(read(files, cache, on_decode=overtake), files)
    check(read(files, cache), files)
    assert len(list(cache.iterdir())) == 1


def test_a_copy_of_the_files_has_the_same_pixels(tmp_path: Path) -> None:
    files = write(tmp_path / "images", 0)
    first = read(files, tmp_path / "cache").pixels
    shutil.copytree(tmp_path / "images", tmp_path / "copy")
    assert np.array_equal(read(sorted((tmp_path / "copy").glob("*")), tmp_path / "cache").pixels, first)


def test_a_full_disk_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = write(tmp_path / "images", 0)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(OSError, match="No space left"):
        read(files, tmp_path / "cache")
    assert not list((tmp_path / "cache").iterdir())


def test_each_file_is_looked_at_once_also_where_a_network_knows_its_format(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files, looked, state = write(tmp_path / "images", 0), [], decode_cache._state

    def counted(file: Path) -> tuple[int, int, int, str]:
        looked.append(file)
        return state(file)

    monkeypatch.setattr(decode_cache, "_state", counted)
    for known in (None, ImageFormat(1), ImageFormat(1)):
        found = decoded(files, tmp_path / "images", image_size=None, cache_dir=tmp_path / "cache", known=known)
        assert found.pixels.shape[3] == (3 if known is None else 1)
    assert looked == 3 * files
    assert len(list((tmp_path / "cache").iterdir())) == 2
