"""Several recorders at once: a run folder, and beside it other receivers of rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hpcli.config import Config
from hpcli.recording.recorder import Arrays, ChildContext, MethodRecorder, Record, RowSink, State, Stop
from hpcli.recording.rows import R, Row

if TYPE_CHECKING:
    from torch import Tensor


class FanOut:
    """Passes every row to all recorders. Reading, states and children are the first recorder's.

    The first is the experiment's own recorder: states, children and what is read back are its alone. The others need
    only take rows; one that can also ask to stop is asked.
    """

    def __init__(self, first: MethodRecorder, *others: RowSink) -> None:
        self.first, self.others = first, others

    def add(self, row: Row, *, durable: bool = False) -> None:
        """Add a row everywhere."""
        for each in (self.first, *self.others):
            each.add(row, durable=durable)

    def replace(self, kind: type[R], rows: Sequence[R]) -> None:
        """Replace a table everywhere."""
        for each in (self.first, *self.others):
            each.replace(kind, rows)

    def keep_arrays(self, name: str, arrays: Arrays) -> None:
        """Keep arrays everywhere."""
        for each in (self.first, *self.others):
            each.keep_arrays(name, arrays)

    def rows(self, kind: type[R]) -> list[R]:
        """The first one's rows."""
        return self.first.rows(kind)

    def arrays(self, name: str) -> Arrays | None:
        """The first one's arrays."""
        return self.first.arrays(name)

    def is_due(self, *, ends_epoch: bool, is_best: bool) -> bool:
        """Whether the first one wants a state."""
        return self.first.is_due(ends_epoch=ends_epoch, is_best=is_best)

    def save(self, state: State, *, step: int, labels: Sequence[str] = (), valid_loss: float | None = None) -> None:
        """Save with the first one."""
        self.first.save(state, step=step, labels=labels, valid_loss=valid_loss)

    def load(self) -> State | None:
        """The first one's newest state."""
        return self.first.load()

    def keep_weights(self, weights: Mapping[str, Tensor], about: Mapping[str, object] | None = None) -> None:
        """Keep the weights with the first one."""
        self.first.keep_weights(weights, about)

    def should_stop(self) -> bool:
        """Whether any recorder asks the experiment to stop."""
        return any(each.should_stop() for each in (self.first, *self.others) if isinstance(each, Stop))

    @property
    def children_folder(self) -> Path | None:
        """The first one's."""
        return self.first.children_folder

    def child(self, key: str, config: Config) -> ChildContext:
        """The first one's child."""
        return self.first.child(key, config)

    def find_child(self, key: str) -> Record | None:
        """The first one's child, to read."""
        return self.first.find_child(key)

    def step_of(self, name: str, command: str, config: Config) -> ChildContext:
        """The first one's step."""
        return self.first.step_of(name, command, config)

    def find_step(self, name: str) -> Record | None:
        """The first one's step, to read."""
        return self.first.find_step(name)

    def keep_text(self, name: str, text: str) -> None:
        """Keep a text with the first one."""
        self.first.keep_text(name, text)
