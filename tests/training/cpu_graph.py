"""A CUDA graph on a CPU: the operations of torch are noted with the tensors that they were given, and done again.

As in a CUDA graph, numbers of Python's are frozen and memory is not: a replay reads what lies in those tensors now, and
draws from the generator as it is seeded by then. Unlike one, it does not reuse memory inside.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

READS = ("aten::_local_scalar_dense", "aten::nonzero")


class _Notes(TorchDispatchMode):
    def __init__(self, refused: list[str] | None = None) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.taken: list[tuple[Any, Any, Any, Any]] = []
        self.refused = refused  # None: what waits for the device is an error

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if function._schema.name in READS:
            if self.refused is None:
                raise RuntimeError(f"{function._schema.name}: a capture does not wait for the device")
            self.refused.append("it waits for the device")
        found = function(*args, **(kwargs or {}))
        self.taken.append((function, args, kwargs or {}, found))
        return found


class CpuGraph:
    """A graph as `captured.Graph` wants it."""

    def __init__(self, written: Sequence[Tensor]) -> None:
        """Make an empty one; `written` are the tensors that a step changes, which a capture leaves as they were."""
        self.written = written
        self.notes: list[tuple[Any, Any, Any, Any]] = []
        self.captures = self.replays = 0

    @contextmanager
    def apart(self) -> Iterator[list[str]]:
        """There is nowhere else."""
        refused: list[str] = []
        with _Notes(refused):
            yield refused

    @contextmanager
    def capture(self) -> Iterator[None]:
        """Note the operations, and put back what they did."""
        self.captures += 1
        before, generator = [each.clone() for each in self.written], torch.get_rng_state()
        with _Notes() as notes:
            yield
        self.notes = notes.taken
        with torch.no_grad():
            for tensor, old in zip(self.written, before, strict=True):
                tensor.copy_(old)
        torch.set_rng_state(generator)

    def replay(self) -> None:
        """Do them again; results go where they went."""
        self.replays += 1
        with torch.no_grad():
            for function, args, kwargs, found in self.notes:
                for old, new in zip(tree_leaves(found), tree_leaves(function(*args, **kwargs)), strict=True):
                    if isinstance(old, Tensor) and old is not new and old.data_ptr() != new.data_ptr():
                        old.copy_(new)
