"""Which files of a folder are used; what is not used is said."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hpcli import load_config
from hpcli.data.dataset import load_splits
from hpcli.data.folder import folder
from hpcli.data.listing import list_folder
from hpcli.errors import DataError, HpcliWarning


def image(path: Path, kind: str | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(len(str(path))).integers(0, 256, (8, 8), np.uint8)).save(path, kind)
    return path


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ("cat", "dog"):
        for number in range(4):
            image(tmp_path / "images/train" / name / f"{number}.png")
    return tmp_path / "images"


def counts(root: Path, part: str = "train") -> list[int]:
    """Images of each class; nothing is warned of."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return [int(each) for each in np.bincount(list_folder(root).parts[part].labels)]


def warned(root: Path) -> str:
    with pytest.warns(HpcliWarning) as found:
        list_folder(root)
    (line,) = [str(each.message) for each in found]
    return line


@pytest.mark.parametrize(
    ("name", "kind"),
    [("a.pgm", None), ("a.jfif", "JPEG"), ("a.jp2", None), ("a.tga", None), ("A.PNG", "PNG"), ("a", "PNG"),
     ("a.dat", "BMP"), ("a.ico", None), ("a.pcx", None), ("n01", "WEBP")],
)  # fmt: skip
def test_whatever_pillow_reads_is_an_image(name: str, kind: str | None, root: Path, tmp_path: Path) -> None:
    image(root / "train/cat" / name, kind)
    assert counts(root) == [5, 4]
    if name != "a.ico":
        assert len(folder(root, cache_dir=tmp_path / "cache").train) == 9


@pytest.mark.parametrize(
    "name",
    [
        ".ipynb_checkpoints/0.png",
        "@eaDir/0.png/thumb.jpg",
        "__MACOSX/0.png",
        "._0.png",
        ".DS_Store",
        "Thumbs.db",
        ".git/0.png",
    ],
)
def test_what_programs_leave_behind_is_neither_used_nor_named(name: str, root: Path) -> None:
    for place in (root, root / "train", root / "train/cat", root / "train/cat/deeper"):
        image(place / name, "PNG")
    assert counts(root) == [4, 4]
    assert list_folder(root).classes == ("cat", "dog")


def test_files_that_are_no_images_are_counted_and_named_once(root: Path, tmp_path: Path) -> None:
    for name in ("cat/notes.txt", "cat/deep/labels.json", "dog/drawing.svg", "dog/broken", "stray.png"):
        (root / "train" / name).parent.mkdir(exist_ok=True)
        (root / "train" / name).write_text("words")
    expected = (
        'images: not used: 5 files that are no images, or lie in no class folder: "train/cat/deep/labels.json", '
        '"train/cat/notes.txt", "train/dog/broken" and 2 more'
    )
    assert expected in warned(root)
    with pytest.warns(HpcliWarning) as found:
        assert len(folder(root, cache_dir=tmp_path / "cache").train) == 8
    assert len(found) == 1


def test_nothing_that_waits_is_opened(root: Path) -> None:
    os.mkfifo(root / "train/cat/waits.png")
    os.mkfifo(root / "train/cat/waits")
    (root / "train/cat/linked.png").symlink_to(root / "train/cat/waits")
    assert "not used: 3 files" in warned(root)


def test_linked_folders_are_followed_once_and_never_upwards(root: Path, tmp_path: Path) -> None:
    for number in range(3):
        image(tmp_path / "elsewhere/deep" / f"{number}.png")
    cat = root / "train/cat"
    (cat / "more").symlink_to(tmp_path / "elsewhere")
    assert counts(root) == [7, 4]
    (cat / "again").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere/deep/loop").symlink_to(tmp_path / "elsewhere")
    (cat / "itself").symlink_to(cat)
    (cat / "up").symlink_to(root / "train")
    (cat / "top").symlink_to(root)
    assert counts(root) == [7, 4]
    (root / "train/yak").symlink_to(tmp_path / "elsewhere")
    assert counts(root) == [7, 4, 3]


@pytest.mark.parametrize("train", ["train", "Train", "TRAIN", "training"])
@pytest.mark.parametrize(
    ("name", "part"), [("validation", "valid"), ("Val", "valid"), ("VALID", "valid"), ("Test", "test")]
)
def test_parts_by_any_of_their_names(train: str, name: str, part: str, root: Path) -> None:
    (root / "train").rename(root / train)
    for each in ("cat", "dog"):
        image(root / name / each / "0.png")
    assert counts(root) == [4, 4]
    assert counts(root, part) == [1, 1]


def test_of_two_folders_for_a_part_one_is_used_and_the_other_named(root: Path) -> None:
    for name in ("val", "valid"):
        for each in ("cat", "dog"):
            image(root / name / each / "0.png")
    assert 'images: not used: "val", as "valid" is' in warned(root)


def test_a_name_with_commas_is_one_name(root: Path) -> None:
    (root / "train/a, b").mkdir()
    image(root / "train/a, b/0.png")
    (root / "train/a, b/notes, old.txt").write_text("words")
    assert 'not used: 1 file that is no image, or lies in no class folder: "train/a, b/notes, old.txt"' in warned(root)


def _flat(folder: Path) -> None:
    for number in range(3):
        image(folder / f"{number}.png")


def _one_folder(folder: Path) -> None:
    _flat(folder / "unknown")


def _empty(folder: Path) -> None:
    folder.mkdir()


@pytest.mark.parametrize("make", [_flat, _one_folder, _empty])
@pytest.mark.parametrize("name", ["test", "val"])
def test_a_part_without_classes_is_not_used_and_said(
    make: Callable[[Path], None], name: str, root: Path, tmp_path: Path
) -> None:
    make(root / name)
    keys = {"data.name": "folder", "data.root": str(root), "data.cache_dir": str(tmp_path / "cache")}
    config = load_config(None, {**keys, "data.batch_size": 2, "data.validation": 0.25})
    for list_only in (True, False):
        with pytest.warns(
            HpcliWarning, match=f'images: not used: "{name}", which has no class folder in it, <class>/…'
        ):
            splits = load_splits(config, list_only=list_only)
        assert (len(splits.train), len(splits.valid), splits.test) == (6, 2, None)


def test_a_class_without_images_is_an_error_that_names_it(root: Path) -> None:
    (root / "train/yak").mkdir()
    (root / "train/yak/notes.txt").write_text("none yet")
    with pytest.raises(DataError, match="train/yak: no image in it; add some, or remove the folder"):
        list_folder(root)


@pytest.mark.parametrize("trains", [True, False])
def test_a_folder_that_is_not_there_is_told_from_one_without_train(
    trains: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for place in ("photos/train/cat", "photos/train/dog", "photos/other", "empty"):
        Path(place).mkdir(parents=True)
    Path("note").write_text("")
    said = {
        "Photos": "Photos: no such folder; did you mean photos?",
        str(tmp_path / "photo"): f"{tmp_path}/photo: no such folder; did you mean {tmp_path}/photos?",
        "nowhere/at/all": "nowhere/at/all: no such folder; data.root says where the images are",
        "note": "note: is a file; data.root is a folder, with train/<class>/… in it",
    }
    if trains:
        said |= {
            "photos/train": "photos/train: no folder train/ in it; photos has one: did you mean it?",
            "photos/train/cat": "photos/train/cat: no folder train/ in it; photos has one: did you mean it?",
            str(
                tmp_path / "photos/other"
            ): f"{tmp_path}/photos/other: no folder train/ in it; {tmp_path}/photos has one: did you mean it?",
            "empty": "empty: no folder train/ in it; data.root holds train/<class>/… (and valid/<class>/…, test/<class>/…)",
        }
    for root, words in said.items():
        with pytest.raises(DataError) as found:
            list_folder(Path(root), trains=trains)
        assert str(found.value) == words
