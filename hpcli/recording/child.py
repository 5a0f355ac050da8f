"""The folder of a run within another run, such as a trial. It has no pictures, and loses its checkpoints at its end."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from hpcli.config import Config, differing_keys
from hpcli.config.scope import Scope
from hpcli.errors import CheckpointError, HpcliError, HpcliWarning
from hpcli.files import Lock, make_folders, storing
from hpcli.recording.checkpoints import Checkpoints
from hpcli.recording.csv_files import CsvFiles
from hpcli.recording.failed_start import ERROR
from hpcli.recording.folder import Folder
from hpcli.recording.folder_recorder import FolderRecorder
from hpcli.recording.recorder import State
from hpcli.recording.seal import SUMMARY, check_file, check_seal
from hpcli.recording.status import LOCK
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
        return cls(path, "train", config, resumed=False, signals=signals)

    def _take_lock(self) -> Lock:
        with storing(self.path):
            if self.path.is_symlink() or self.path.is_file():
                self.path.unlink()
            make_folders(self.path)
        return super()._take_lock()

    def _look(self) -> None:
        """Go on with what is there, if it is this run; else clear the folder."""
        self.resumed = _goes_on(self.path, self.config)
        if self.resumed:
            self._begin_after(self.folder.standing)
            self._was_over = self.status.is_over
            return
        with storing(self.path):
            for each in self.path.iterdir():
                if each.name != LOCK:
                    shutil.rmtree(each) if each.is_dir() and not each.is_symlink() else each.unlink()
        self._note(RunStatus.CREATED)
        self._write_config()

    def publish(self, *, again: bool = False) -> RunStatus:
        """Let the run lie there for any process to take.

        Args:
            again: one that failed is to be tried again.

        Returns:
            How it stands: over, failed, or to be taken.

        Raises:
            RunInUseError: a process is at it.
            StorageError: it cannot be written.
        """
        with self._held():
            if not again and self._has_failed():
                return RunStatus.FAILED
            self._look()
            if self.status == RunStatus.FAILED:
                self._note(RunStatus.CREATED)
            return self.status

    def _has_failed(self) -> bool:
        try:
            standing = self.folder.standing
        except CheckpointError:
            return False
        return standing is not None and standing.status == RunStatus.FAILED

    def give_up(self, reason: str) -> None:
        """Note that the run failed, of which those that were at it can tell nothing.

        Raises:
            RunInUseError: a process is at it.
        """
        with self._held(), storing(self.path):
            self._begin_after(self.folder.standing)
            (self.path / ERROR).write_text(f"{reason}\n")
            self._note(RunStatus.FAILED)

    @contextmanager
    def _held(self) -> Iterator[None]:
        lock = self._take_lock()
        try:
            yield
        finally:
            lock.release()

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
        if status != RunStatus.INTERRUPTED:
            self._saved = None  # as its checkpoints are about to go
        full = super().finish(status, summary)
        if status != RunStatus.INTERRUPTED:
            shutil.rmtree(self.path / "checkpoints", ignore_errors=True)
            with storing(self.path / ERROR):
                (self.path / ERROR).unlink(missing_ok=True)
        return full


def _goes_on(path: Path, config: Config) -> bool:
    """Bring the folder of a run to where it is gone on with; False, with a warning, where it is not as the run left it.

    The tables of one that was interrupted are cut back to its checkpoint: what came after it is not read.
    """
    folder = Folder(path)
    try:
        standing = folder.standing
        if standing is None or differing_keys(folder.config, config, of=Scope.RUN):
            return False
        check_seal(path, standing.files)
        if standing.status.is_over:
            check_file(path / SUMMARY, standing.files)
        elif standing.saved is None:
            return False  # nothing to go on from
        else:
            newest = Checkpoints(path / "checkpoints").newest_intact()
            if newest is None:
                raise CheckpointError(f"{path}: its checkpoints are gone")
            files = CsvFiles(path)
            files.cut_back(newest[0].tables, newest[0].hashes)
            files.close()
    except CheckpointError:
        warnings.warn(f"{path}: not as the trial left it; it is trained anew", HpcliWarning, stacklevel=2)
        return False
    except HpcliError:
        return False
    return True
