"""Weights to start from: a run folder, one of its checkpoints, or a safetensors file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from hpcli.errors import CheckpointError
from hpcli.run_dir.checkpoints import Checkpoints, load_state

if TYPE_CHECKING:
    from torch import Tensor


def load_weights(path: Path) -> dict[str, Tensor]:
    """A model's weights by name.

    Args:
        path: a run folder (its last checkpoint), a checkpoint `.pt`, or `.safetensors`.

    Raises:
        CheckpointError: missing, damaged, or something else. Nothing in a file is ever executed.
    """
    if path.is_dir():
        found = Checkpoints(path / "checkpoints").load_newest()
        if found is None:
            raise CheckpointError(f"{path}: no checkpoint in it; name a run folder that has one, or a file")
        return _of_state(found[0], path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error.strerror})") from None
    return _safetensors(data, path) if path.suffix == ".safetensors" else _of_state(load_state(data, path), path)


def _of_state(state: dict[str, object], path: Path) -> dict[str, Tensor]:
    trainer = state.get("trainer")
    model = trainer.get("model") if isinstance(trainer, dict) else None
    if not isinstance(model, dict):
        raise CheckpointError(f"{path}: holds no model of hpcli")
    return model


def _safetensors(data: bytes, path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        return load(data)
    except SafetensorError as error:
        raise CheckpointError(f"{path}: not a safetensors file ({error})") from None
