"""The folder of a run within another run, such as a trial. It has no pictures, and loses its checkpoints at its end."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hpcli.config import Config, differing_keys
from hpcli.config.scope import Scope
from hpcli.errors import HpcliError
from hpcli.recording.folder import Folder
from hpcli.recording.folder_recorder import FolderRecorder
from hpcli.recording.recorder import State
from hpcli.signals import StopSignals
from hpcli.states import RunStatus

if TYPE_CHECKING:
    from torch import Tensor


class ChildFolder(FolderRecorder):
    """Saves a state only to be able to go on: the checkpoints and weights of a trial serve nothing else."""

    _was_over = False
    """Whether the run had ended before this process came to it."""

    @classmethod
    def of(cls, path: Path, config: Config, signals: StopSignals) -> ChildFolder:
        """The folder of a run, new or to go on with. A folder of another run, or a damaged one, is replaced."""
        if path.exists() and not _is_intact(path, config):
            shutil.rmtree(path)
        resumed = path.exists()
        path.mkdir(parents=True, exist_ok=True)
        run = cls(path, "train", config, resumed=resumed, signals=signals)
        if resumed:
            run._begin_after(run.folder.standing)
        else:
            run._note(RunStatus.CREATED)
            run._write_config()
        return run

    def __enter__(self) -> ChildFolder:
        super().__enter__()
        self._was_over = self.status.is_over
        return self

    @property
    def seconds(self) -> float:
        """How long the run took. For a run that was over before, what its folder says."""
        return self._seconds_before if self._was_over else super().seconds

    def save(self, state: State, *, step: int, labels: Sequence[str] = (), valid_loss: float | None = None) -> None:
        """Save a checkpoint to resume from. Labelled ones are only saved when the run is asked to stop."""
        if not labels or self.should_stop():
            super().save(state, step=step, labels=labels, valid_loss=valid_loss)

    def keep_weights(self, weights: Mapping[str, Tensor], about: Mapping[str, object] | None = None) -> None:
        """Keep no weights: only a trial's numbers are used."""

    def finish(self, status: RunStatus, summary: Mapping[str, object]) -> dict[str, object]:
        """Write the summary; nothing is left to go on with."""
        full = super().finish(status, summary)
        if status != RunStatus.INTERRUPTED:
            shutil.rmtree(self.path / "checkpoints", ignore_errors=True)
            (self.path / "error.log").unlink(missing_ok=True)
        return full


def _is_intact(path: Path, config: Config) -> bool:
    """Whether a folder holds this run: its status is readable, and its config is this one."""
    folder = Folder(path)
    try:
        return folder.standing is not None and not differing_keys(folder.config, config, of=Scope.RUN)
    except HpcliError:
        return False
