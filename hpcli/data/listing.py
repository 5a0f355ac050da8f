"""The image files of a folder: which folders are its parts, which of theirs are classes, which files are images.

Whatever is not used is said, except what operating systems and programs leave behind.
"""

from __future__ import annotations

import difflib
import os
import stat
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hpcli.data.decode import is_image
from hpcli.errors import DataError, HpcliWarning

PARTS = {"train": ("train", "training"), "valid": ("valid", "val", "validation"), "test": ("test", "testing")}
"""Part → what its folder may be called, in capitals or small letters."""
SUFFIXES = {
    *(".avif", ".bmp", ".dib", ".gif", ".j2k", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpg"),
    *(".pbm", ".pgm", ".png", ".pnm", ".ppm", ".tga", ".tif", ".tiff", ".webp"),
}
"""A file with one of these is an image without being opened; any other is looked into."""
LEFT_BEHIND = {"__macosx", "@eadir", "__pycache__", "$recycle.bin", "thumbs.db", "desktop.ini"}
"""Files and folders that nobody put there; so are those whose name begins with a dot."""
NAMED = 3
"""So many files or classes are named; the rest are counted."""


@dataclass(frozen=True)
class Listing:
    """The image files of a part, in the order of their names, with their labels."""

    files: list[Path]
    labels: NDArray[np.int64]


@dataclass(frozen=True)
class FolderListing:
    """All of a folder that is used."""

    root: Path
    classes: tuple[str, ...]
    parts: dict[str, Listing]
    folders: dict[str, Path]  # of the parts
    passed_over: list[Path] = field(default_factory=list)  # files that are no images, or belong to no class


def list_folder(root: Path, known: Sequence[str] | None = None, *, trains: bool = True) -> FolderListing:
    """List an image folder, with a warning for everything that is not used.

    Args:
        root: the folder.
        known: the classes, where nothing is trained and all that are found are among them.
        trains: False: the images are only measured on. The classes may then lie right in `root`: it is the test part.

    Raises:
        DataError: nothing to learn from, or to measure on, naming what is missing and where.
    """
    _check_root(root)
    folders = _parts(root)
    if trains or ("train" in folders and known is None):
        classes = _classes(root, folders)
    else:
        folders = folders or {"test": root}
        classes = _classes_to_measure(root, folders, known)
    listing = FolderListing(root, classes, {}, {})
    for part, folder in folders.items():
        if part != "train" and not {each.name for each in _subfolders(folder)} & set(classes):
            _warn(f"{root}: not used: {_shown(folder, root)}, which has no class folder in it, <class>/…")
            continue
        listing.folders[part] = folder
        listing.parts[part] = _listed(folder, classes, listing.passed_over)
        _check_classes(part, folder, listing.parts[part].labels, classes, trains=trains or known is None)
    if listing.passed_over:
        files, count = [_shown(file, root) for file in listing.passed_over], len(listing.passed_over)
        what = "1 file that is no image, or lies" if count == 1 else f"{count} files that are no images, or lie"
        _warn(f"{root}: not used: {what} in no class folder: {some(files)}")
    return listing


def _check_root(root: Path) -> None:
    """Check that a folder is there.

    Raises:
        DataError: it is not, with the nearest name beside it; or it is a file.
    """
    if root.is_dir():
        return
    if root.exists():
        raise DataError(f"{root}: is a file; data.root is a folder, with train/<class>/… in it")
    beside = [each.name for each in _subfolders(root.parent)] if root.parent.is_dir() else []
    small = {name.lower(): name for name in sorted(beside)}
    near = difflib.get_close_matches(root.name.lower(), small, n=1)
    advice = f"did you mean {root.parent / small[near[0]]}?" if near else "data.root says where the images are"
    raise DataError(f"{root}: no such folder; {advice}")


def _parts(root: Path) -> dict[str, Path]:
    """Part → its folder. Of several the first in the list of names, exact before capitals."""
    found = {each.name: each for each in sorted(_subfolders(root))}
    parts: dict[str, Path] = {}
    for part, names in PARTS.items():
        fitting = [found[name] for name in names if name in found]
        fitting += [each for name in names for each in found.values() if each.name.lower() == name != each.name]
        if fitting:
            parts[part] = fitting[0]
        if len(fitting) > 1:
            others = some([_shown(each, root) for each in fitting[1:]])
            _warn(f"{root}: not used: {others}, as {_shown(fitting[0], root)} is")
    return parts


def _classes(root: Path, folders: dict[str, Path]) -> tuple[str, ...]:
    if "train" not in folders:
        above = [each for each in (root.resolve().parent, root.resolve().parent.parent) if (each / "train").is_dir()]
        advice = "data.root holds train/<class>/… (and valid/<class>/…, test/<class>/…)"
        if above:
            advice = (
                f"{Path(os.path.relpath(above[0])) if not root.is_absolute() else above[0]} has one: did you mean it?"
            )
        raise DataError(f"{root}: no folder train/ in it; {advice}")
    classes = tuple(sorted(path.name for path in _subfolders(folders["train"])))
    if len(classes) < 2:
        found = f"only the class {classes[0]}" if classes else "no class folder"
        raise DataError(f"{folders['train']}: {found}; at least two are needed, train/<class>/…")
    return classes


def _classes_to_measure(root: Path, folders: dict[str, Path], known: Sequence[str] | None) -> tuple[str, ...]:
    found = {each.name for folder in folders.values() if folder.is_dir() for each in _subfolders(folder)}
    if not found:
        raise DataError(f"{root}: nothing to measure on: neither test/<class>/…, valid/<class>/… nor <class>/…")
    return tuple(known) if known is not None and found <= set(known) else tuple(sorted(found))


def _listed(folder: Path, classes: tuple[str, ...], passed_over: list[Path]) -> Listing:
    """All image files of a part.

    Raises:
        DataError: a class that there is nothing to train for.
    """
    unknown = sorted({path.name for path in _subfolders(folder)} - set(classes))
    if unknown:
        raise DataError(f"{folder / unknown[0]}: a class that train/ does not have; add it there, or take it away here")
    files: list[Path] = []
    labels: list[int] = []
    for label, name in enumerate(classes):
        if (folder / name).is_dir():
            images, others = image_files(folder / name)
            files += images
            labels += [label] * len(images)
            passed_over += others
    passed_over += sorted(each for each in folder.iterdir() if not each.is_dir() and not _is_left_behind(each.name))
    return Listing(files, np.array(labels, np.int64))


def _check_classes(
    part: str, folder: Path, labels: NDArray[np.int64], classes: tuple[str, ...], *, trains: bool
) -> None:
    counts = np.bincount(labels, minlength=len(classes))
    missing = [name for name, count in zip(classes, counts, strict=True) if not count]
    if trains and part == "train" and missing:
        raise DataError(f"{folder / missing[0]}: no image in it; add some, or remove the folder")
    if missing:
        names = some([f'"{name}"' for name in missing])
        _warn(f"{folder}: no images of {names}; what is measured there says nothing of them")


def image_files(folder: Path) -> tuple[list[Path], list[Path]]:
    """All image files under a folder, ordered by path, and the files that are none; what is left behind is neither."""
    images: list[Path] = []
    others: list[Path] = []
    for file in _walk(folder):
        (images if _is_listed(file) else others).append(file)
    return images, others


def _walk(folder: Path) -> Iterator[Path]:
    """All files under a folder, ordered by path. Linked folders are followed, each once, and none upwards."""
    here = folder.resolve()
    seen = {here, *here.parents}

    def below(path: Path) -> Iterator[Path]:
        """The files of a folder and of those within it, by name."""
        with os.scandir(path) as entries:
            found = sorted(entries, key=lambda entry: entry.name)
        for entry in found:
            if _is_left_behind(entry.name):
                continue
            each = path / entry.name
            if not entry.is_dir():
                yield each
            elif (real := each.resolve()) not in seen:
                seen.add(real)
                yield from below(each)

    yield from below(folder)


def _is_listed(file: Path) -> bool:
    """Whether a file is taken for an image. A dead link is, by its name: decoding says that it cannot be read."""
    try:
        is_regular = stat.S_ISREG(file.stat().st_mode)
    except OSError:
        is_regular = True
    return is_regular and (file.suffix.lower() in SUFFIXES or is_image(file))


def _subfolders(path: Path) -> list[Path]:
    return [each for each in path.iterdir() if each.is_dir() and not _is_left_behind(each.name)]


def _is_left_behind(name: str) -> bool:
    return name.startswith(".") or name.lower() in LEFT_BEHIND


def _shown(path: Path, root: Path) -> str:
    """A path within the root, in quotes: names may hold commas."""
    return f'"{path.relative_to(root)}"'


def some(names: list[str]) -> str:
    """The first few names, and how many more there are."""
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more


def _warn(text: str) -> None:
    warnings.warn(text, HpcliWarning, stacklevel=4)
