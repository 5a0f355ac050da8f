"""The recorder that outlives the process: a run folder, written."""

from __future__ import annotations

import json
import time
import traceback
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hpcli.config import Config, differing_keys, to_yaml
from hpcli.config.scope import Scope
from hpcli.errors import DIVERGED, SOME_FAILED, CheckpointError, HpcliError, HpcliWarning, UsageError
from hpcli.files import Lock, make_dated, make_new, point_link, write_atomic
from hpcli.recording.checkpoints import Checkpoints
from hpcli.recording.csv_files import CsvFiles
from hpcli.recording.environment import environment
from hpcli.recording.folder import CHILDREN, Folder, write_arrays
from hpcli.recording.recorder import Arrays, State
from hpcli.recording.rows import R, Row
from hpcli.recording.status import LOCK, Standing, json_value, write_standing
from hpcli.signals import StopSignals
from hpcli.states import RunStatus

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from torch import Tensor

    from hpcli.recording.child import ChildFolder

RUNS = Path("runs")


class DiskRecorder:
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

    @classmethod
    def create(cls, command: str, config: Config, out: Path | None = None) -> DiskRecorder:
        """Make a new folder, `out` or one named by command, data and time under `runs/`.

        Raises:
            UsageError: `out` exists already; nothing in it is touched.
        """
        path = make_new(out) if out else make_dated(RUNS, f"{command}-{config.data.name.replace(':', '-')}")
        run = cls(path, command, config, resumed=False)
        run._note(RunStatus.CREATED)
        run._write_config()
        if out is None:
            point_link(RUNS / "latest", path)
        return run

    @classmethod
    def reopen(cls, command: str, path: Path, config: Config, *, again: bool = False) -> DiskRecorder:
        """Go on with an existing folder. A config that asks for more of the same extends it, even when it is finished.

        Args:
            command: whose run it is.
            path: the folder.
            config: the folder's, or one that differs in keys that may be extended.
            again: go through it even when it is finished and nothing more is asked.

        Raises:
            UsageError: not a run folder, or another command's.
            CheckpointError: `config` is not the folder's, or the folder is damaged or of another format.
        """
        folder = Folder(path)
        before, standing = folder.config, folder.standing
        if standing is not None and standing.command != command:
            own = standing.command
            raise UsageError(f"{path}: a run of {own}, not of {command}; go on with it by hpcli {own} --resume {path}")
        more = differing_keys(before, config, of=Scope.EXTENDS)
        keys = ", ".join(key for key in differing_keys(before, config) if key not in more)
        if keys:
            raise CheckpointError(f"{path}: its config differs in {keys}; leave these out, or start a new run")
        run = cls(path, command, config, resumed=True)
        run._extends = bool(more) or again
        run._begin_after(standing)
        return run

    def child(self, key: str, config: Config) -> ChildFolder:
        """A run folder within this one: the one of that key, if there is one."""
        from hpcli.recording.child import ChildFolder

        return ChildFolder.of(self.path / CHILDREN / key, config, self.signals)

    def find_child(self, key: str) -> Folder | None:
        """A run within this one, to read."""
        return self.folder.find_child(key)

    @property
    def summary(self) -> dict[str, object] | None:
        """The summary of a run that is over, and not asked for more."""
        file = self.path / "summary.json"
        return dict(json.loads(file.read_text())) if file.exists() and not self._extends else None

    @property
    def seconds(self) -> float:
        """How long the run has taken, all processes together."""
        return round(self._seconds_before + time.monotonic() - self._began, 3)

    def _begin_after(self, standing: Standing | None) -> None:
        """Take over what an earlier process left; called before the lock is taken."""
        if standing is not None:
            self.status, self._seconds_before = standing.status, standing.seconds or 0.0

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

    # States

    def is_due(self, *, ends_epoch: bool, is_best: bool) -> bool:
        """Whether to save a checkpoint now: of the best epoch so far always, else as time allows."""
        return is_best or self.checkpoints.is_due(ends_epoch=ends_epoch)

    def save(self, state: State, *, step: int, labels: Sequence[str] = (), valid_loss: float | None = None) -> None:
        """Save a checkpoint that remembers how far the tables were."""
        self.files.sync()
        self.checkpoints.save(state, step=step, labels=labels, valid_loss=valid_loss, tables=self.files.sizes())
        self._note(RunStatus.RUNNING)

    def load(self) -> State | None:
        """The newest intact checkpoint of a resumed run, its tables cut back to it."""
        found = self.checkpoints.load_newest() if self.resumed else None
        self.files.cut_back(found[1].tables if found else {})
        return found[0] if found else None

    def keep_weights(self, weights: Mapping[str, Tensor]) -> None:
        """Save the network's weights alone, as `model.safetensors`, for other programs."""
        from safetensors.torch import save

        tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in weights.items()}
        write_atomic(self.path / "model.safetensors", save(tensors))

    def should_stop(self) -> bool:
        """Whether a signal asked the run to stop."""
        return self.signals.received is not None

    # Results

    def keep_figure(self, name: str, figure: Figure) -> None:
        """Save a figure as `<name>.png`. One that fails is a warning: its numbers are in the CSV."""
        try:
            figure.savefig(self.path / f"{name}.png")
        except Exception as error:
            warnings.warn(f"{name}.png was not drawn: {error}; its numbers are in the CSV", HpcliWarning, stacklevel=2)

    def finish(self, status: RunStatus, summary: Mapping[str, object]) -> dict[str, object]:
        """Write `summary.json`, last of all. An interrupted run gets none, and keeps its checkpoint."""
        codes = {
            RunStatus.FINISHED: SOME_FAILED if summary.get("failed") else 0,
            RunStatus.DIVERGED: DIVERGED,
            RunStatus.FAILED: SOME_FAILED,
            RunStatus.INTERRUPTED: self.signals.exit_code,
        }
        self.exit_code = codes[status]
        about = {"command": self.command, "status": status, "run_dir": str(self.path), "seconds": self.seconds}
        full = {name: json_value(value) for name, value in {**about, **summary}.items()}
        if status != RunStatus.INTERRUPTED:
            write_atomic(self.path / "summary.json", json.dumps(full, indent=2).encode())
        self._note(status)
        return full

    def __enter__(self) -> DiskRecorder:
        self._lock = Lock(self.path / LOCK)
        self.signals.__enter__()
        if self._extends:
            (self.path / "summary.json").unlink(missing_ok=True)
            self._write_config()
        if not self.resumed:
            write_atomic(self.path / "environment.json", json.dumps(environment(), indent=2).encode())
        if self.summary is None:
            self._note(RunStatus.RUNNING)
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        try:
            if error is not None:
                self._record(error)
        finally:
            self.signals.__exit__()
            self.files.close()
            self._lock.release()

    def _record(self, error: BaseException) -> None:
        """Note how a run failed; a disk that is full must not hide why."""
        try:
            (self.path / "error.log").write_text("".join(traceback.format_exception(error)))
            stopped = isinstance(error, KeyboardInterrupt)
            self.exit_code = 130 if stopped else error.exit_code if isinstance(error, HpcliError) else 1
            self._note(RunStatus.INTERRUPTED if stopped else RunStatus.FAILED)
        except OSError:
            pass

    def _write_config(self) -> None:
        header = f"# Fully resolved: `hpcli {self.command} -c` this file runs it again.\n"
        write_atomic(self.path / "config.yaml", (header + to_yaml(self.config)).encode())

    def _note(self, status: RunStatus) -> None:
        goes_on = status in (RunStatus.CREATED, RunStatus.RUNNING)
        code = None if goes_on else self.exit_code
        self.status = status
        write_standing(self.path, Standing(status, self.command, code, self.step, self.seconds))
