from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hpcli.config import Config, load_config
from hpcli.data import decode_cache
from hpcli.data.dataset import load_splits
from hpcli.data.decode import decode
from hpcli.data.decode_cache import decoded
from hpcli.data.folder import folder
from hpcli.errors import DataError, HpcliWarning

CLASSES = ("cat", "dog", "eel")


def picture(seed: int, size: tuple[int, int] = (8, 8), *, grey: bool = False) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), np.uint8)
    return Image.fromarray(pixels[..., 0] if grey else pixels)


def write(root: Path, part: str, count: int = 4, *, classes: tuple[str, ...] = CLASSES, grey: bool = False) -> None:
    for label, name in enumerate(classes):
        (root / part / name).mkdir(parents=True)
        for number in range(count):
            picture(100 * label + number, grey=grey).save(root / part / name / f"{number:03}.png")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write(tmp_path / "images", "train")
    return tmp_path / "images"


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def config_for(root: Path, cache: Path, **keys: object) -> Config:
    base = {"data.name": "folder", "data.root": str(root), "data.cache_dir": str(cache), "data.batch_size": 2}
    return load_config(
        None, {**base, "data.validation": "auto", **{f"data.{key}": value for key, value in keys.items()}}
    )


def test_pixels_and_labels_are_those_of_the_files(root: Path, cache: Path) -> None:
    data = folder(root, cache_dir=cache)
    assert data.classes == CLASSES
    assert data.train.images.shape == (12, 8, 8, 3)
    assert data.train.labels.tolist() == [0] * 4 + [1] * 4 + [2] * 4
    assert np.array_equal(data.train.images[5], np.asarray(picture(101)))
    pixels = data.train.images / 255
    assert data.mean == pytest.approx(pixels.mean((0, 1, 2)))
    assert data.std == pytest.approx(pixels.std((0, 1, 2)))
    assert data.valid is None
    assert data.test is None


def test_it_is_decoded_once_and_again_when_a_file_changes(root: Path, cache: Path) -> None:
    reports: list[tuple[int, int]] = []

    def watch(done: int, total: int) -> None:
        reports.append((done, total))

    first = folder(root, cache_dir=cache, on_decode=watch)
    assert reports[-1] == (12, 12)
    reports.clear()
    again = folder(root, cache_dir=cache, on_decode=watch)
    assert not reports
    assert isinstance(again.train.images.base, np.memmap) or isinstance(again.train.images, np.memmap)
    assert np.array_equal(first.train.images, again.train.images)
    picture(999).save(root / "train/cat/000.png")
    os.utime(root / "train/cat/000.png", ns=(1, 1))
    changed = folder(root, cache_dir=cache, on_decode=watch)
    assert reports[-1] == (12, 12)
    assert np.array_equal(changed.train.images[0], np.asarray(picture(999)))
    reports.clear()
    assert folder(root, image_size=4, cache_dir=cache, on_decode=watch).train.images.shape == (12, 4, 4, 3)
    assert reports


@pytest.mark.parametrize("name", ["valid", "val"])
def test_parts_of_its_own(root: Path, cache: Path, name: str) -> None:
    """auto: its own validation part; a fraction: held out of train/ all the same; test/ is kept for reporting."""
    write(root, name, 2)
    write(root, "test", 3)
    own = load_splits(config_for(root, cache))
    assert [len(part) for part in (own.train, own.valid, own.test or ())] == [12, 6, 9]
    held = load_splits(config_for(root, cache, validation=0.25))
    assert [len(part) for part in (held.train, held.valid, held.test or ())] == [9, 3, 9]
    with pytest.warns(HpcliWarning, match="no longer tested"):
        on_test = load_splits(config_for(root, cache, validation="test"))
    assert (len(on_test.valid), on_test.test) == (9, None)


def test_a_held_out_part_where_there_is_none_of_its_own(root: Path, cache: Path) -> None:
    (root / "train/cat").joinpath("more.png").write_bytes((root / "train/cat/000.png").read_bytes())
    splits = load_splits(config_for(root, cache, validation=0.25))
    assert (len(splits.train), len(splits.valid), splits.test) == (10, 3, None)
    with pytest.raises(DataError, match=r"data\.validation: valid: this data set has no valid images"):
        load_splits(config_for(root, cache, validation="valid"))


def test_grey_images_have_one_channel_and_one_of_colour_makes_three(root: Path, tmp_path: Path, cache: Path) -> None:
    write(tmp_path / "grey", "train", grey=True)
    assert folder(tmp_path / "grey", cache_dir=cache).train.images.shape == (12, 8, 8, 1)
    picture(1).save(tmp_path / "grey/train/dog/colour.png")
    mixed = folder(tmp_path / "grey", cache_dir=cache).train.images
    assert mixed.shape == (13, 8, 8, 3)
    assert (mixed[0, ..., 0] == mixed[0, ..., 2]).all()


def test_unreadable_images_are_named_counted_and_left_out(root: Path, cache: Path) -> None:
    (root / "train/dog/000.jpg").write_text("not a picture")
    (root / "train/eel/cut.png").write_bytes((root / "train/eel/000.png").read_bytes()[:40])
    (root / "train/eel/dead.png").symlink_to(root / "nowhere")
    for _ in range(2):  # decoded, and from the cache
        with pytest.warns(
            HpcliWarning, match=r'images: not used: 3 of 15 images, which cannot be read: .*"train/dog/000\.jpg" \(.*\)'
        ) as found:
            data = folder(root, cache_dir=cache)
        assert len(found) == 1
        assert len(data.train) == 12
        assert data.train.labels.tolist() == [0] * 4 + [1] * 4 + [2] * 4
        assert np.array_equal(data.train.images[4], np.asarray(picture(100)))


def test_images_of_many_sizes(root: Path, cache: Path) -> None:
    """One pixel and five thousand: without data.image_size an answer that names it, with it both are decoded."""
    picture(0, (1, 1)).save(root / "train/cat/one.png")
    Image.new("RGB", (5000, 4000), (200, 10, 10)).save(root / "train/dog/large.jpg")
    with pytest.raises(
        DataError, match=r"images differ in size: .*train/cat/000\.png is 8×8, .*one\.png 1×1; set data\.image_size"
    ):
        folder(root, cache_dir=cache)
    data = folder(root, image_size=16, cache_dir=cache)
    assert data.train.images.shape == (14, 16, 16, 3)
    assert (data.train.images[4] == np.asarray(picture(0, (1, 1)))).all()
    large = data.train.images[9].reshape(-1, 3).mean(0)
    assert large == pytest.approx([200, 10, 10], abs=3)


def test_the_middle_is_cut_out_at_the_shorter_side(tmp_path: Path) -> None:
    """Black, white and black thirds: of 24×8 the middle third is left."""
    pixels = np.zeros((8, 24), np.uint8)
    pixels[:, 8:16] = 255
    Image.fromarray(pixels).save(tmp_path / "wide.png")
    assert decode(tmp_path / "wide.png", None, 1).shape == (8, 24, 1)
    assert (decode(tmp_path / "wide.png", 8, 1) == 255).all()
    assert decode(tmp_path / "wide.png", 4, 3).shape == (4, 4, 3)


def test_what_cameras_and_editors_make(tmp_path: Path) -> None:
    """Turned upright; transparency on black; 16 bits to 8; palettes; the first picture of an animation."""
    turned = Image.Exif()
    turned[0x0112] = 6
    picture(3, (12, 6)).save(tmp_path / "turned.png", exif=turned)
    assert decode(tmp_path / "turned.png", None, 3).shape == (12, 6, 3)
    Image.new("RGBA", (4, 4), (255, 255, 255, 0)).save(tmp_path / "clear.png")
    assert (decode(tmp_path / "clear.png", None, 3) == 0).all()
    Image.fromarray(np.full((4, 4), 65535, np.uint16)).save(tmp_path / "deep.png")
    assert (decode(tmp_path / "deep.png", None, 1) == 255).all()
    Image.new("P", (4, 4)).save(tmp_path / "palette.gif", save_all=True, append_images=[Image.new("P", (4, 4), 1)])
    assert decode(tmp_path / "palette.gif", None, 3).shape == (4, 4, 3)


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda root: (root / "train").rename(root / "other"), r"no folder train/ in it; data\.root holds"),
        (lambda root: [each.rename(root / each.name) for each in sorted((root / "train").iterdir())], "no class folder"),
        (lambda root: [(root / "train" / each).rename(root / each) for each in ("dog", "eel")], "only the class cat"),
        (lambda root: [each.unlink() for each in (root / "train/eel").iterdir()], "train/eel: no image in it"),
        (lambda root: write(root, "valid", classes=("cat", "yak")), "valid/yak: a class that train/ does not have"),
        (lambda root: [each.write_text("x") for each in root.rglob("*.png")], "none of its 12 files can be read"),
    ],
)  # fmt: skip
def test_what_cannot_be_learnt_from_says_why(
    root: Path, cache: Path, spoil: Callable[[Path], object], why: str
) -> None:
    spoil(root)
    with pytest.raises(DataError, match=why):
        folder(root, cache_dir=cache)


def test_a_class_without_validation_images_is_a_warning(root: Path, cache: Path) -> None:
    write(root, "valid", 2, classes=("cat", "dog"))
    with pytest.warns(HpcliWarning, match='valid: no images of "eel"; what is measured there says nothing of them'):
        data = folder(root, cache_dir=cache)
    assert data.valid is not None
    assert data.valid.labels.tolist() == [0, 0, 1, 1]


def test_unbalanced_classes_are_a_warning(root: Path, cache: Path) -> None:
    for number in range(60):
        picture(number).save(root / f"train/cat/more{number}.png")
    with pytest.warns(HpcliWarning, match=r"cat has 58 training images, dog 4; always answering cat is 88% right"):
        load_splits(config_for(root, cache, validation=0.1))


def test_a_cache_that_cannot_be_written_is_a_warning(root: Path, tmp_path: Path) -> None:
    blocked = tmp_path / "blocked"
    blocked.write_text("a file where the folder should be")
    with pytest.warns(HpcliWarning, match=r"cannot be written .* or set data\.cache_dir"):
        data = folder(root, cache_dir=blocked)
    assert np.array_equal(data.train.images[5], np.asarray(picture(101)))


def test_a_plan_decodes_nothing(root: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decode_cache, "decode", lambda *_: pytest.fail("decoded"))
    splits = load_splits(config_for(root, cache, validation=0.25), list_only=True)
    assert (len(splits.train), len(splits.valid)) == (9, 3)
    assert not cache.exists()


def test_an_unfinished_cache_is_not_used(root: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that dies while decoding leaves nothing that another one takes for whole."""
    files = sorted(root.rglob("*.png"))

    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        decoded(files, root, image_size=None, cache_dir=cache, on_decode=stop)
    assert not list(cache.iterdir())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert decoded(files, root, image_size=None, cache_dir=cache).pixels.shape == (12, 8, 8, 3)
