"""Recording into a folder: rows as CSV, states as checkpoints, how the run stands, the lock, and how it ended."""

from __future__ import annotations

import json
import time
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

from hpcli.config import Config, to_dict
from hpcli.errors import DIVERGED, SOME_FAILED, CheckpointError, HpcliError
from hpcli.files import Lock, storing, write_atomic
from hpcli.recording.checkpoints import Checkpoints
from hpcli.recording.csv_files import CsvFiles
from hpcli.recording.environment import environment
from hpcli.recording.failed_start import CONFIG, config_text
from hpcli.recording.folder import Folder, write_arrays
from hpcli.recording.recorder import Arrays, State
from hpcli.recording.rows import R, Row
from hpcli.recording.seal import SUMMARY, is_as_sealed, seal
from hpcli.recording.status import LOCK, Standing, json_value, write_standing
from hpcli.signals import StopSignals
from hpcli.states import RunStatus


class FolderRecorder:
    """Use as a context manager: entering takes the lock and the signals, leaving writes how it ended."""

    def __init__(
        self, path: Path, command: str, config: Config, *, resumed: bool, signals: StopSignals | None = None
    ) -> None:
        self.path, self.command, self.config, self.resumed = path, command, config, resumed
        self.status = RunStatus.CREATED  # as this process knows it: to look into the folder would let its lock go
        self.folder = Folder(path)
        self.files = CsvFiles(path)
        self.checkpoints = Checkpoints(path / "checkpoints")
        self.signals = signals or StopSignals()
        self.exit_code = 0
        self.step: int | None = None  # the last one in a table
        self._began = time.monotonic()
        self._seconds_before = 0.0  # of earlier processes
        self._extends = False
        self._replaced: Config | None = None  # config.yaml, until the config that extends the run is written
        self._sealed: Mapping[str, str] = {}  # SHA-256 by file, while nothing has been changed since the run ended
        self._saved: int | None = None  # the step of the newest checkpoint

    @property
    def summary(self) -> dict[str, object] | None:
        """The summary of a run that is over, and not asked for more; None where it is damaged: it is written anew."""
        file = self.path / SUMMARY
        if self._extends or not file.exists() or not is_as_sealed(file, self._sealed):
            return None
        try:
            return dict(json.loads(file.read_bytes()))
        except (ValueError, TypeError, OSError):
            return None

    @property
    def seconds(self) -> float:
        """How long the run has taken, all processes together."""
        return round(self._seconds_before + time.monotonic() - self._began, 3)

    def _begin_after(self, standing: Standing | None) -> None:
        """Take over what an earlier process has left."""
        if standing is not None:
            self.status, self._seconds_before = standing.status, standing.seconds or 0.0
            self.step, self._saved, self._sealed = standing.step, standing.saved, standing.files

    # Rows

    def add(self, row: Row, *, durable: bool = False) -> None:
        """Append a row to its CSV."""
        self.files.append(row)
        self.step = getattr(row, "step", self.step)
        if durable:
            self.files.sync()
            self._note(RunStatus.RUNNING)

    def replace(self, kind: type[R], rows: Sequence[R]) -> None:
        """Replace a CSV."""
        self.files.replace(kind, rows)

    def rows(self, kind: type[R]) -> list[R]:
        """All rows of a CSV."""
        return self.files.rows(kind)

    def keep_arrays(self, name: str, arrays: Arrays) -> None:
        """Write `<name>.npz`."""
        write_arrays(self.path / f"{name}.npz", arrays)

    def arrays(self, name: str) -> Arrays | None:
        """What `<name>.npz` holds."""
        return self.folder.arrays(name)

    def find_child(self, key: str) -> Folder | None:
        """A run within this one, to read."""
        return self.folder.find_child(key)

    def find_step(self, name: str) -> Folder | None:
        """A step of this run, to read."""
        return self.folder.find_step(name)

    # States

    def is_due(self, *, ends_epoch: bool, is_best: bool) -> bool:
        """Whether to save a checkpoint now, as time allows."""
        return self.checkpoints.is_due(ends_epoch=ends_epoch)

    def save(self, state: State, *, step: int, labels: Sequence[str] = (), valid_loss: float | None = None) -> None:
        """Save a checkpoint that remembers how far the tables were."""
        self.files.sync()
        tables, hashes = self.files.sizes(), self.files.hashes()
        self.checkpoints.save(state, step=step, labels=labels, valid_loss=valid_loss, tables=tables, hashes=hashes)
        self._saved = step
        self._note(RunStatus.RUNNING)

    def load(self) -> State | None:
        """The newest intact checkpoint of a resumed run, its tables cut back to it.

        Raises:
            CheckpointError: no checkpoint is intact, or a table has been changed since.
        """
        found = self.checkpoints.load_newest() if self.resumed else None
        if found is None and self._saved is not None:
            raise CheckpointError(
                f"{self.checkpoints.folder}: its checkpoints are gone; restore them from a backup, or start anew"
            )
        self.files.cut_back(found[1].tables if found else {}, found[1].hashes if found else {})
        return found[0] if found else None

    def should_stop(self) -> bool:
        """Whether a signal asked the run to stop."""
        return self.signals.received is not None

    # Results

    def finish(self, status: RunStatus, summary: Mapping[str, object]) -> dict[str, object]:
        """Write `summary.json`, last of all. An interrupted run gets none, and keeps its checkpoint."""
        codes = {
            RunStatus.FINISHED: SOME_FAILED if summary.get("failed") else 0,
            RunStatus.DIVERGED: DIVERGED,
            RunStatus.FAILED: SOME_FAILED,
            RunStatus.INTERRUPTED: self.signals.exit_code,
        }
        self.exit_code = codes[status]
        self.files.sync()  # what is sealed must outlive a power cut
        about = {"command": self.command, "status": status, "run_dir": str(self.path), "seconds": self.seconds}
        full = {name: json_value(value) for name, value in {**about, **summary}.items()}
        if status != RunStatus.INTERRUPTED:
            write_atomic(self.path / SUMMARY, json.dumps(full, indent=2).encode())
        with storing(self.path):
            self._note(status, seal(self.path))
        return full

    def __enter__(self) -> Self:
        self._lock = self._take_lock()
        try:
            self._look()
            self.signals.__enter__()
        except BaseException:
            self._lock.release()
            raise
        try:
            self._begin()
        except BaseException as error:
            self.__exit__(type(error), error, None)
            raise
        return self

    def _take_lock(self) -> Lock:
        return Lock(self.path / LOCK)

    def _look(self) -> None:
        """What to do before anything is written, now that no other process can."""

    def _begin(self) -> None:
        if self.summary is None:
            self._note(RunStatus.RUNNING)
        if self._extends:
            with storing(self.path / SUMMARY):
                (self.path / SUMMARY).unlink(missing_ok=True)
            self._write_config()
        if not self.resumed:
            write_atomic(self.path / "environment.json", json.dumps(environment(), indent=2).encode())

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        try:
            if error is not None:
                self._record(error)
        finally:
            self.signals.__exit__()
            try:
                self.files.close()
            finally:
                self._lock.release()

    def _record(self, error: BaseException) -> None:
        """Write error.log, the status of a failed run, its last rows. A second error, of the disk, is passed over."""
        try:
            (self.path / "error.log").write_text("".join(traceback.format_exception(error)))
            stopped = isinstance(error, KeyboardInterrupt)
            self.exit_code = 130 if stopped else error.exit_code if isinstance(error, HpcliError) else 1
            self._note(RunStatus.INTERRUPTED if stopped else RunStatus.FAILED)
            self.files.write()
        except OSError:
            pass

    def _write_config(self) -> None:
        write_atomic(self.path / CONFIG, config_text(self.command, self.config).encode())
        self._replaced = None

    def _note(self, status: RunStatus, files: Mapping[str, str] | None = None) -> None:
        goes_on = status in (RunStatus.CREATED, RunStatus.RUNNING)
        code = None if goes_on else self.exit_code
        self.status, self._sealed = status, files or {}
        asked, old = to_dict(self.config), None if self._replaced is None else to_dict(self._replaced)
        about = Standing(status, self.command, code, self.step, self.seconds, self._saved, asked, old, self._sealed)
        write_standing(self.path, about)
