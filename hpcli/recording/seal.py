"""What a run's files were when it ended: a hash of each, so that what is changed later is noticed."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from hpcli.errors import CheckpointError
from hpcli.recording.rows import declared_tables

SUMMARY, WEIGHTS = "summary.json", "model.safetensors"


def seal(folder: Path) -> dict[str, str]:
    """File → SHA-256 of every table, array and weights file of a run folder, and of its summary."""
    names = [f"{table}.csv" for table in declared_tables()]
    arrays = [path.name for path in folder.glob("*.npz")]
    there = sorted(name for name in (*names, *arrays, SUMMARY, WEIGHTS) if (folder / name).is_file())
    return {name: _sha256(folder / name) for name in there}


def check_seal(folder: Path, sealed: Mapping[str, str]) -> None:
    """Compare every file; a summary is left out, as it is written anew.

    Raises:
        CheckpointError: one is missing or differs; it is named.
    """
    for name in sealed:
        if name != SUMMARY:
            check_file(folder / name, sealed)


def check_file(path: Path, sealed: Mapping[str, str]) -> None:
    """Compare a file, if it is among those that were sealed.

    Raises:
        CheckpointError: it is missing or differs.
    """
    known = sealed.get(path.name)
    if known is None:
        return
    try:
        found = _sha256(path)
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error.strerror}); restore it, or start anew") from None
    if found != known:
        raise CheckpointError(f"{path}: changed since the run ended (its SHA-256 differs); restore it, or start anew")


def is_as_sealed(path: Path, sealed: Mapping[str, str]) -> bool:
    """Whether a file is as it was when the run ended, as far as that is known."""
    try:
        check_file(path, sealed)
    except CheckpointError:
        return False
    return True


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
