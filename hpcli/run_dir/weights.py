"""Weights to start from: a run folder, one of its checkpoints, or a safetensors file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hpcli.config import differing_keys, read_config
from hpcli.errors import CheckpointError, UsageError, did_you_mean
from hpcli.run_dir.checkpoints import Checkpoints, load_state

if TYPE_CHECKING:
    from torch import Tensor


SETTING = ("data.name", "data.root", "data.image_size", "data.validation", "data.split_seed", "data.train_fraction",
           "model.name", "model.options")  # fmt: skip
"""Keys that two checkpoints must share for their losses to be of the same images and the same network."""


def load_weights(path: Path | str) -> dict[str, Tensor]:
    """A model's weights by name.

    Args:
        path: a run folder (its last checkpoint), `RUN_DIR:LABEL` such as `:epoch-0007` or `:cycle-1` (one of its
            others), a checkpoint `.pt`, or `.safetensors`.

    Raises:
        CheckpointError: missing, damaged, or something else. Nothing in a file is ever executed.
    """
    path = Path(path)
    folder, label = _split(path)
    if label is not None:
        return _of_state(_labelled(folder, label), path)
    if path.is_dir():
        found = Checkpoints(path / "checkpoints").load_newest()
        if found is None:
            raise CheckpointError(f"{path}: no checkpoint in it; name a run folder that has one, or a file")
        return _of_state(found[0], path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error.strerror})") from None
    if path.suffix == ".safetensors":
        return _safetensors(data, path)
    checkpoints = Checkpoints(path.parent)
    known = next((entry for entry in checkpoints.read_index() if entry.file == path.name), None)
    return _of_state(checkpoints.read(known) if known else load_state(data, path), path)


def config_beside(path: Path) -> Path | None:
    """The config of the run that a checkpoint, as `load_weights` takes it, lies in; None: there is no run around it."""
    folder, _ = _split(path)
    around = (each / "config.yaml" for each in (folder, folder.parent, folder.parent.parent))
    return next((each for each in around if each.is_file()), None)


def shared_config(paths: Sequence[Path]) -> Path:
    """The config to measure checkpoints by, that of the first one's run.

    Raises:
        CheckpointError: a checkpoint is not there, or the runs differ in their images or their network.
        UsageError: a checkpoint has no run around it.
    """
    files = []
    for path in paths:
        if not _split(path)[0].exists():
            raise CheckpointError(f"{path}: cannot be read (No such file or directory)")
        file = config_beside(path)
        if file is None:
            raise UsageError(f"{path}: no run folder around it to take the config from; name one by -c FILE")
        files.append(file)
    for path, file in zip(paths[1:], files[1:], strict=True):
        different = differing_keys(read_config(files[0]), read_config(file))
        keys = [key for key in different if any(key == each or key.startswith(f"{each}.") for each in SETTING)]
        if keys:
            raise CheckpointError(
                f"{path}: its config differs from {paths[0]}'s in {', '.join(keys)}; -c FILE sets the one to measure by"
            )
    return files[0]


def _split(path: Path) -> tuple[Path, str | None]:
    """A run folder and the label after its colon; None where there is no label."""
    folder, colon, label = str(path).rpartition(":")
    return (Path(folder), label) if colon and not path.exists() and Path(folder).is_dir() else (path, None)


def _labelled(folder: Path, label: str) -> dict[str, object]:
    checkpoints = Checkpoints(folder / "checkpoints")
    labels = {each: entry for entry in checkpoints.read_index() for each in entry.labels}
    if label not in labels:
        known = did_you_mean(label, labels) if labels else "it has none with a name"
        raise CheckpointError(f"{folder}: no checkpoint {label}; {known}")
    return checkpoints.read(labels[label])


def _of_state(state: object, path: Path) -> dict[str, Tensor]:
    import torch

    trainer = state.get("trainer") if isinstance(state, dict) else None
    model = trainer.get("model") if isinstance(trainer, dict) else None
    if not isinstance(model, dict) or not all(isinstance(each, torch.Tensor) for each in model.values()):
        raise CheckpointError(f"{path}: holds no model of hpcli")
    return model


def _safetensors(data: bytes, path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        return load(data)
    except SafetensorError as error:
        raise CheckpointError(f"{path}: not a safetensors file ({error})") from None
