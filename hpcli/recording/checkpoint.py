"""One checkpoint: a state as the bytes of a file, and what the index says of it."""

from __future__ import annotations

import hashlib
import io
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hpcli.errors import CheckpointError
from hpcli.recording.recorder import State


@dataclass(frozen=True)
class Entry:
    """A checkpoint as the index knows it."""

    file: str
    size: int
    sha256: str
    step: int
    labels: tuple[str, ...]
    valid_loss: float | None
    tables: dict[str, int]  # bytes of each CSV at that time
    hashes: dict[str, str] = field(default_factory=dict)  # SHA-256 of these bytes of each

    def __post_init__(self) -> None:
        """Take no index for true that names anything outside its folder."""
        names = [self.file, *self.tables, *self.hashes]
        numbers = [self.size, self.step, *self.tables.values()]
        if not all(re.fullmatch(r"\w[\w.-]*", name) for name in names) or not self.file.endswith(".pt"):
            raise ValueError("it names files that are not hpcli's")
        if not all(type(number) is int for number in numbers) or min(self.tables.values(), default=0) < 0:
            raise ValueError("its sizes are no numbers")


def serialised(
    state: State,
    step: int,
    tables: Mapping[str, int],
    hashes: Mapping[str, str],
    labels: Sequence[str],
    valid_loss: float | None,
) -> tuple[Entry, bytes]:
    """A state as the bytes of its file, and its entry in the index."""
    import torch

    buffer = io.BytesIO()
    torch.save(dict(state), buffer)
    data = buffer.getvalue()
    file = f"{labels[0] if labels else f'step-{step:08d}'}.pt"
    digest = hashlib.sha256(data).hexdigest()
    return Entry(file, len(data), digest, step, tuple(labels), _finite(valid_loss), dict(tables), dict(hashes)), data


def load_state(data: bytes, path: Path) -> State:
    """Read a state that was saved as tensors and plain types; nothing in it can run.

    Raises:
        CheckpointError: it is something else.
    """
    import torch

    try:
        state: State = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises whatever a damaged archive leads it to
        raise CheckpointError(f"{path}: not a checkpoint of hpcli ({type(error).__name__})") from None
    return state


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
