"""Weights by path and label: a run folder, one of its checkpoints, or a file; and the config they belong to.

A reference may carry the hash of what it means, `runs/mine:best@sha256:4f0c…`: other weights are not taken for it.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hpcli.config import differing_keys, read_config
from hpcli.config.scope import Scope
from hpcli.errors import CheckpointError, UsageError, listed
from hpcli.recording.checkpoint import load_state
from hpcli.recording.checkpoints import INDEX, METADATA, Checkpoints
from hpcli.recording.seal import WEIGHTS, check_file
from hpcli.recording.status import read_standing
from hpcli.results.data import DataFacts
from hpcli.states import Label

if TYPE_CHECKING:
    from torch import Tensor

_HASH = re.compile(r"@sha256:([0-9a-f]{64})$")
SAME = Scope.IMAGES | Scope.NETWORK
"""What two checkpoints must share for their losses to be of the same images and the same network."""


@dataclass(frozen=True)
class Reference:
    """Where weights are: a file or a run folder, a label within it, and the hash that the file must have."""

    path: Path
    label: str | None
    sha256: str | None

    def __str__(self) -> str:
        return str(self.path) if self.label is None else f"{self.path}:{self.label}"


def reference(text: Path | str) -> Reference:
    """Take a reference apart: `PATH`, `RUN_DIR:LABEL`, either with `@sha256:…` behind it."""
    text = str(text)
    pinned = _HASH.search(text)
    bare = text[: pinned.start()] if pinned else text
    sha256 = pinned.group(1) if pinned else None
    folder, colon, label = bare.rpartition(":")
    if colon and not Path(bare).exists() and Path(folder).is_dir():
        return Reference(Path(folder), label, sha256)
    return Reference(Path(bare), None, sha256)


def pinned(text: Path | str) -> str:
    """The reference as an absolute path, with the hash of the weights that it names now.

    Raises:
        CheckpointError: there is no such checkpoint.
    """
    found = reference(text)
    _, data = _read(found)
    absolute = Reference(found.path.absolute(), found.label, None)
    return f"{absolute}@sha256:{hashlib.sha256(data).hexdigest()}"


@dataclass(frozen=True)
class Stored:
    """A model's weights as they were kept."""

    name: str  # where, as `reference` says it
    weights: dict[str, Tensor]  # by name
    data: DataFacts | None  # what they were trained on; None: they do not say


def load_weights(path: Path | str) -> dict[str, Tensor]:
    """A model's weights by name; see `read_weights`, which also says what they were trained on."""
    return read_weights(path).weights


def read_weights(path: Path | str) -> Stored:
    """A model's weights, and the data that they were trained on.

    Args:
        path: a run folder (its last checkpoint), `RUN_DIR:LABEL` such as `:best`, `:epoch-0007` or `:cycle-1`, a
            checkpoint `.pt`, or `.safetensors`; with `@sha256:…` behind it where the hash is to be compared.

    Raises:
        CheckpointError: missing, damaged, another one than the hash says, or something else. Nothing in a file is ever
            executed.
    """
    found = reference(path)
    file, data = _read(found)
    return _safetensors(data, found) if file.suffix == ".safetensors" else _of_state(load_state(data, file), found)


def _read(found: Reference) -> tuple[Path, bytes]:
    """The file of a reference and its bytes, compared with every hash that is known of it."""
    file, data = _of_run(found) if found.path.is_dir() else _of_file(found)
    if found.sha256 not in (None, hashlib.sha256(data).hexdigest()):
        raise CheckpointError(f"{found}: has changed since the config was written (another SHA-256); name it anew")
    return file, data


def _of_run(found: Reference) -> tuple[Path, bytes]:
    checkpoints = Checkpoints(found.path / "checkpoints")
    same = [entry for entry in checkpoints.read_index() if entry.sha256 == found.sha256]
    if same:
        return checkpoints.folder / same[0].file, checkpoints.read(same[0])
    if found.label is None:
        newest = checkpoints.newest_intact()
        if newest is None:
            raise CheckpointError(f"{found}: no checkpoint in it; name a run folder that has one, or a file")
        return checkpoints.folder / newest[0].file, newest[1]
    entry = checkpoints.find(found.label)
    if entry is None:
        labels = [each for known in checkpoints.read_index() for each in known.labels]
        own = [name for name in Label if checkpoints.find(name) is not None]
        advice = f"it has {listed([*own, *labels])}" if labels or own else "it has none with a name"
        raise CheckpointError(f"{found.path}: no checkpoint {found.label}; {advice}")
    return checkpoints.folder / entry.file, checkpoints.read(entry)


def _of_file(found: Reference) -> tuple[Path, bytes]:
    if found.path.exists() and not found.path.is_file():
        raise CheckpointError(f"{found}: not a file; name a checkpoint .pt, a .safetensors, or a run folder")
    checkpoints = Checkpoints(found.path.parent)
    known = checkpoints.read_index() if (checkpoints.folder / INDEX).exists() else []
    entry = next((entry for entry in known if entry.file == found.path.name), None)
    try:
        _check_sealed(found.path)
        return found.path, found.path.read_bytes() if entry is None else checkpoints.read(entry)
    except OSError as error:
        raise CheckpointError(f"{found}: cannot be read ({error.strerror})") from None


def _check_sealed(path: Path) -> None:
    """Compare a run's exported weights with what they were when the run ended."""
    standing = read_standing(path.parent) if path.name == WEIGHTS and path.is_file() else None
    if standing is not None:
        check_file(path, standing.files)


def config_beside(path: Path | str) -> Path | None:
    """The config of the run that a checkpoint, as `load_weights` takes it, lies in; None: there is no run around it."""
    folder = reference(path).path
    around = (each / "config.yaml" for each in (folder, folder.parent, folder.parent.parent))
    return next((each for each in around if each.is_file()), None)


def shared_config(paths: Sequence[Path | str]) -> Path:
    """The config to measure several checkpoints by: the config of the first one's run.

    Raises:
        CheckpointError: a checkpoint is not there, or the runs differ in their images or their network.
        UsageError: a checkpoint has no run around it.
    """
    files = []
    for path in paths:
        if not reference(path).path.exists():
            raise CheckpointError(f"{path}: cannot be read (No such file or directory)")
        file = config_beside(path)
        if file is None:
            raise UsageError(f"{path}: no run folder around it to take the config from; name one by -c FILE")
        files.append(file)
    for path, file in zip(paths[1:], files[1:], strict=True):
        keys = differing_keys(read_config(files[0]), read_config(file), of=SAME)
        if keys:
            raise CheckpointError(
                f"{path}: its config differs from {paths[0]}'s in {', '.join(keys)}; -c FILE sets the one to measure by"
            )
    return files[0]


def _of_state(state: object, found: Reference) -> Stored:
    import torch

    known = state if isinstance(state, dict) else {}
    trainer = known.get("trainer")
    model = trainer.get("model") if isinstance(trainer, dict) else None
    if not isinstance(model, dict) or not all(isinstance(each, torch.Tensor) for each in model.values()):
        raise CheckpointError(f"{found}: holds no model of hpcli")
    return Stored(str(found), model, DataFacts.from_plain(known.get("data")))


def _safetensors(data: bytes, found: Reference) -> Stored:
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        weights = load(data)
    except SafetensorError as error:
        raise CheckpointError(f"{found}: not a safetensors file ({error})") from None
    except Exception as error:  # types of numbers that torch does not know end as whatever it raises
        raise CheckpointError(f"{found}: holds numbers that torch cannot take ({error!r}); save as float32") from None
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])  # that it is one, `load` has checked
    about = header.get("__metadata__", {}).get(METADATA)
    try:
        return Stored(str(found), weights, None if about is None else DataFacts.from_plain(json.loads(about)))
    except ValueError:  # another program's
        return Stored(str(found), weights, None)
