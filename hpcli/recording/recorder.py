"""What an experiment needs of the place where its rows and states go.

Four things that can be had apart: rows, states, children, and the wish that it stop. A run folder has them all
(`disk`), and so has memory (`memory`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
    """Tables that can be read, of a run that goes on or of one long over."""

    def rows(self, kind: type[R]) -> list[R]:
        """All rows of a table so far, those of an earlier, resumed process included."""

    def arrays(self, name: str) -> Arrays | None:
        """Arrays that were kept under a name; None: there are none."""


class Record(Rows, Protocol):
    """A run as it can be read: what it was asked, how it stands, and its tables."""

    @property
    def config(self) -> Config:
        """What it was asked to do."""

    @property
    def status(self) -> RunStatus:
        """How it stands."""

    @property
    def seconds(self) -> float | None:
        """How long it took, all processes together; None: not known."""

    def find_child(self, key: str) -> Record | None:
        """A run within it; None: it has not begun."""


class RowRecorder(Rows, Protocol):
    """Where rows go."""

    def add(self, row: Row, *, durable: bool = False) -> None:
        """Add a row to its table. `durable`: it outlives a power cut on return."""

    def replace(self, kind: type[R], rows: Sequence[R]) -> None:
        """Replace a table as a whole."""

    def keep_arrays(self, name: str, arrays: Arrays) -> None:
        """Keep arrays that no table can hold, such as pictures, under a name."""


class StateRecorder(Protocol):
    """Where states go, and come back from."""

    def is_due(self, *, ends_epoch: bool, is_best: bool) -> bool:
        """Whether a state is to be saved now that nobody asked for by name."""

    def save(self, state: State, *, step: int, labels: Sequence[str] = (), valid_loss: float | None = None) -> None:
        """Keep a state. One with labels is kept for good, another until newer ones are."""

    def load(self) -> State | None:
        """The newest state, with the tables cut back to where they stood then; None at the start of a run."""

    def keep_weights(self, weights: Mapping[str, Tensor]) -> None:
        """Keep the finished network's weights, for other programs."""


@runtime_checkable
class Stop(Protocol):
    """Who may ask an experiment to stop."""

    def should_stop(self) -> bool:
        """Whether somebody asked it to stop after this step."""


class Recorder(RowRecorder, StateRecorder, Stop, Protocol):
    """All that a run needs which has no runs within it."""


class ParentRecorder(Recorder, Protocol):
    """All that an experiment needs which is made of runs."""

    def child(self, key: str, config: Config) -> ChildContext:
        """Where a run within this one records, by its key: the same place as before, if there has been one."""

    def find_child(self, key: str) -> Record | None:
        """A run within this one, to read; None: it has not begun."""


class ChildContext(Protocol):
    """Enter it to record a run within another one; leaving notes how it ended."""

    def __enter__(self) -> ChildRecorder: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> object: ...


class ChildRecorder(Recorder, Record, Protocol):
    """Where a run within another one records; what it came to can be read there."""

    def finish(self, status: RunStatus, summary: Mapping[str, object]) -> object:
        """The run is over, or interrupted: note how it ended."""
