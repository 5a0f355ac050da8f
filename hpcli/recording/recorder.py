"""The protocol of recorders: what an experiment needs to record rows and states.

Four things that can be had apart: rows, states, children, and the wish that it stop. A run folder has them all
(`disk`), and so has memory (`memory`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from hpcli.config import Config
from hpcli.recording.rows import R, Row
from hpcli.states import RunStatus

if TYPE_CHECKING:
    from torch import Tensor

State = dict[str, Any]
"""What a run goes on from: tensors and plain types."""
Arrays = dict[str, NDArray[np.generic]]
"""Arrays that belong together, by name."""


class Rows(Protocol):
    """Tables and arrays to read, of a run that goes on or is over."""

    def rows(self, kind: type[R]) -> list[R]:
        """All rows of a table so far, those of an earlier, resumed process included."""

    def arrays(self, name: str) -> Arrays | None:
        """Arrays that were kept under a name; None: there are none."""


class Steps(Protocol):
    """A run whose steps are runs of their own."""

    def find_step(self, name: str) -> Record | None:
        """A step, to read; None: it has not begun."""


class Record(Rows, Steps, Protocol):
    """A run to read: its config, status, duration, tables, and the runs within it."""

    @property
    def config(self) -> Config:
        """The run's config."""

    @property
    def status(self) -> RunStatus:
        """The run's status."""

    @property
    def seconds(self) -> float | None:
        """The run's duration, all processes together; None: not known."""

    def find_child(self, key: str) -> Record | None:
        """A run within this one, by its key; None: it has not begun."""


class RowSink(Protocol):
    """Where rows go; it need not give them back."""

    def add(self, row: Row, *, durable: bool = False) -> None:
        """Add a row to its table. With `durable` the row outlives a power cut once this returns."""

    def replace(self, kind: type[R], rows: Sequence[R]) -> None:
        """Replace a table as a whole."""

    def keep_arrays(self, name: str, arrays: Arrays) -> None:
        """Keep arrays that no table can hold, such as pictures, under a name."""


class RowRecorder(RowSink, Rows, Protocol):
    """Where rows go, and come back from."""


class StateRecorder(Protocol):
    """Where states go, and come back from."""

    def is_due(self, *, ends_epoch: bool, is_best: bool) -> bool:
        """Whether to save an unlabelled state now."""

    def save(self, state: State, *, step: int, labels: Sequence[str] = (), valid_loss: float | None = None) -> None:
        """Keep a state. One with labels is kept for good, another until newer ones are."""

    def load(self) -> State | None:
        """The newest state, with the tables cut back to where they stood then; None at the start of a run."""

    def keep_weights(self, weights: Mapping[str, Tensor], about: Mapping[str, object] | None = None) -> None:
        """Keep the finished network's weights, for other programs, and what they were trained on in plain values."""


@runtime_checkable
class Stop(Protocol):
    """Who may ask an experiment to stop."""

    def should_stop(self) -> bool:
        """Whether the experiment is to stop after this step."""


class Recorder(RowRecorder, StateRecorder, Stop, Protocol):
    """Records a run: rows, states, and the wish that it stop."""


class Parent(Stop, Protocol):
    """Has the recorders of runs within a run."""

    def child(self, key: str, config: Config) -> ChildContext:
        """The recorder of a run within this one, by its key. A run that was recorded before is gone on with."""


class ParentRecorder(Parent, Recorder, Protocol):
    """Records an experiment that is made of runs, such as a sweep."""

    @property
    def children_folder(self) -> Path | None:
        """Where the runs within this one lie, each in a folder by its key; None: in memory."""

    def find_child(self, key: str) -> Record | None:
        """A run within this one, to read; None: it has not begun."""


class MethodRecorder(ParentRecorder, Steps, Protocol):
    """Records an experiment that is made of other experiments, such as `tune`."""

    def step_of(self, name: str, command: str, config: Config) -> ChildContext:
        """The recorder of a step that is a run of its own, like any that the command makes, and keeps what it made."""

    def keep_text(self, name: str, text: str) -> None:
        """Keep a text under the name of a file, such as best.yaml."""


class ChildContext(Protocol):
    """Context of a run within another run. Leaving it notes how the run ended."""

    def __enter__(self) -> ChildRecorder: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> object: ...


class ChildRecorder(Recorder, Record, Protocol):
    """Records a run within another run, and reads it."""

    def finish(self, status: RunStatus, summary: Mapping[str, object]) -> object:
        """Note how the run ended, or that it was interrupted."""
