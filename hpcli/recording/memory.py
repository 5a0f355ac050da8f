"""A recorder that keeps everything in memory: for notebooks and tests. Nothing is written."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

from hpcli.config import Config
from hpcli.recording.recorder import Arrays, Record, State
from hpcli.recording.rows import R, Row, checked
from hpcli.states import RunStatus

if TYPE_CHECKING:
    from torch import Tensor


class MemoryRecorder:
    """Rows by table, states by label, children by key."""

    children_folder = None
    """No files."""

    def __init__(self, config: Config | None = None) -> None:
        """Start empty. A `config` is needed only for a run within another one."""
        self.tables: dict[type[Row], list[Row]] = {}
        self.kept: dict[str, Arrays] = {}
        self.states: dict[str, State] = {}
        self.weights: Mapping[str, Tensor] | None = None
        self.children: dict[str, MemoryRecorder] = {}
        self.steps: dict[str, MemoryRecorder] = {}
        self.texts: dict[str, str] = {}
        self.status = RunStatus.CREATED
        self.seconds: float | None = None
        self._config = config
        self._began = time.monotonic()

    @property
    def config(self) -> Config:
        """Of a run within another one."""
        if self._config is None:
            raise ValueError("this recorder was made without a config")
        return self._config

    def add(self, row: Row, *, durable: bool = False) -> None:
        """Add a row to its table."""
        self.tables.setdefault(type(row), []).append(checked(row))

    def replace(self, kind: type[R], rows: Sequence[R]) -> None:
        """Replace a table."""
        self.tables[kind] = [checked(row) for row in rows]

    def rows(self, kind: type[R]) -> list[R]:
        """All rows of a table."""
        return [row for row in self.tables.get(kind, []) if isinstance(row, kind)]

    def keep_arrays(self, name: str, arrays: Arrays) -> None:
        """Keep arrays under a name."""
        self.kept[name] = arrays

    def arrays(self, name: str) -> Arrays | None:
        """Arrays that were kept."""
        return self.kept.get(name)

    def is_due(self, *, ends_epoch: bool, is_best: bool) -> bool:
        """Never: a state in memory does not outlive the process."""
        return False

    def save(self, state: State, *, step: int, labels: Sequence[str] = (), valid_loss: float | None = None) -> None:
        """Keep the state under each of its labels."""
        self.states.update(dict.fromkeys(labels, state))

    def load(self) -> State | None:
        """None: a run in memory always starts at step 0."""
        return None

    def keep_weights(self, weights: Mapping[str, Tensor], about: Mapping[str, object] | None = None) -> None:
        """Keep the finished network's weights."""
        self.weights = {name: tensor.detach().clone() for name, tensor in weights.items()}

    def should_stop(self) -> bool:
        """Never."""
        return False

    def child(self, key: str, config: Config) -> AbstractContextManager[MemoryRecorder]:
        """A recorder for the run. A run that is over keeps its earlier recorder."""
        known = self.children.get(key)
        if known is None or not known.status.is_over:
            known = self.children[key] = self.new_child(config)
        return nullcontext(known)

    def new_child(self, config: Config) -> MemoryRecorder:
        """A recorder for a run within this one."""
        return MemoryRecorder(config)

    def find_child(self, key: str) -> Record | None:
        """A run within this one."""
        return self.children.get(key)

    def finish(self, status: RunStatus, summary: Mapping[str, object]) -> None:
        """Note how the run ended."""
        self.status, self.seconds = status, round(time.monotonic() - self._began, 3)

    def step_of(self, name: str, command: str, config: Config) -> AbstractContextManager[MemoryRecorder]:
        """A recorder for a step. One that is over keeps its earlier recorder."""
        known = self.steps.get(name)
        if known is None or not known.status.is_over:
            known = self.steps[name] = self.new_child(config)
        return nullcontext(known)

    def find_step(self, name: str) -> Record | None:
        """A step of this run."""
        return self.steps.get(name)

    def keep_text(self, name: str, text: str) -> None:
        """Keep a text."""
        self.texts[name] = text
