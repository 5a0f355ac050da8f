"""A run's folder: its status, tables, checkpoints, figures and summary. The `Store` that outlives the process."""

from __future__ import annotations

import json
import math
import os
import time
import traceback
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpcli.config import Config, differing_keys, read_config, to_yaml
from hpcli.errors import DIVERGED, SOME_FAILED, CheckpointError, HpcliError, HpcliWarning, UsageError
from hpcli.experiments.store import Row, State
from hpcli.run_dir.checkpoints import Checkpoints
from hpcli.run_dir.environment import environment
from hpcli.run_dir.files import Lock, is_locked, make_dated, make_new, point_link, write_atomic
from hpcli.run_dir.tables import Tables
from hpcli.signals import StopSignals

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RUNS = Path("runs")


class RunDir:
    """Use as a context manager: entering takes the lock and the signals, leaving writes how it ended."""

    def __init__(
        self, path: Path, command: str, config: Config, *, resumed: bool, signals: StopSignals | None = None
    ) -> None:
        self.path, self.command, self.config, self.resumed = path, command, config, resumed
        self.tables = Tables(path)
        self.checkpoints = Checkpoints(path / "checkpoints")
        self.signals = signals or StopSignals()
        self.exit_code = 0
        self.step: int | None = None  # the last one in a table
        self._started = time.monotonic()
        self._extends = False

    @classmethod
    def create(cls, command: str, config: Config, out: Path | None = None) -> RunDir:
        """Make a new folder, `out` or one named by command, data and time under `runs/`.

        Raises:
            UsageError: `out` exists already; nothing in it is touched.
        """
        path = make_new(out) if out else make_dated(RUNS, f"{command}-{config.data.name.replace(':', '-')}")
        run = cls(path, command, config, resumed=False)
        run._write_status("created")
        run._write_config()
        if out is None:
            point_link(RUNS / "latest", path)
        return run

    @classmethod
    def reopen(cls, command: str, path: Path, config: Config, *, may_differ: Sequence[str] = ()) -> RunDir:
        """Go on with an existing folder. With keys that may differ it is extended, even when it is finished.

        Raises:
            UsageError: not a run folder, or another command's.
            CheckpointError: `config` is not the folder's.
        """
        keys = ", ".join(key for key in differing_keys(folder_config(path), config) if key not in may_differ)
        status = path / "status.json"
        own = json.loads(status.read_text())["command"] if status.exists() else command
        if own != command:
            raise UsageError(f"{path}: a run of {own}, not of {command}; go on with it by hpcli {own} --resume {path}")
        if keys:
            raise CheckpointError(f"{path}: its config differs in {keys}; leave these out, or start a new run")
        run = cls(path, command, config, resumed=True)
        run._extends = bool(may_differ)
        return run

    def trial(self, key: str, config: Config) -> RunDir:
        """A run folder within this one, for a trial of it: the one of that key, if there is one."""
        from hpcli.run_dir.trial import TrialDir

        return TrialDir.of(self.path / "trials" / key, config, self.signals)

    @property
    def summary(self) -> dict[str, Any] | None:
        """The summary of a finished run."""
        file = self.path / "summary.json"
        return dict(json.loads(file.read_text())) if file.exists() else None

    # The Store of an experiment

    def row(self, table: str, row: Row, *, durable: bool = False) -> None:
        """Append a row to `<table>.csv`."""
        self.tables.append(table, row)
        step = row.get("step")
        self.step = step if isinstance(step, int) else self.step
        if durable:
            self.tables.sync()
            self._write_status("running")

    def rows(self, table: str) -> list[dict[str, Any]]:
        """All rows of `<table>.csv`."""
        return self.tables.rows(table)

    def write(self, table: str, rows: Sequence[Row]) -> None:
        """Replace `<table>.csv`."""
        self.tables.replace(table, rows)

    def due(self, *, ends_epoch: bool) -> bool:
        """Whether to save a checkpoint now."""
        return self.checkpoints.due(ends_epoch=ends_epoch)

    def save(self, state: State, *, step: int, labels: Sequence[str] = (), valid_loss: float | None = None) -> None:
        """Save a checkpoint that remembers how far the tables were."""
        self.tables.sync()
        self.checkpoints.save(state, step=step, labels=labels, valid_loss=valid_loss, tables=self.tables.sizes())
        self._write_status("running")

    def load(self) -> State | None:
        """The newest intact checkpoint of a resumed run, its tables cut back to it."""
        found = self.checkpoints.load_newest() if self.resumed else None
        self.tables.cut_back(found[1].tables if found else {})
        return found[0] if found else None

    def should_stop(self) -> bool:
        """Whether a signal asked the run to stop."""
        return self.signals.received is not None

    # Results

    def figure(self, name: str, figure: Figure) -> None:
        """Save a figure as `<name>.png`. One that fails is a warning: its numbers are in the CSV."""
        try:
            figure.savefig(self.path / f"{name}.png")
        except Exception as error:
            warnings.warn(f"{name}.png was not drawn: {error}; its numbers are in the CSV", HpcliWarning, stacklevel=2)

    def weights(self, model_state: Mapping[str, Any]) -> None:
        """Save the model's weights alone, as `model.safetensors`, for other programs."""
        from safetensors.torch import save

        tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in model_state.items()}
        write_atomic(self.path / "model.safetensors", save(tensors))

    def finish(self, status: str, summary: Mapping[str, Any]) -> dict[str, Any]:
        """Write `summary.json`, last of all. An interrupted run gets none, and keeps its checkpoint."""
        codes = {"finished": 0, "diverged": DIVERGED, "failed": SOME_FAILED, "interrupted": self.signals.exit_code}
        self.exit_code = SOME_FAILED if status == "finished" and summary.get("failed") else codes[status]
        full = {
            "command": self.command,
            "status": status,
            "run_dir": str(self.path),
            "seconds": round(time.monotonic() - self._started, 3),
            **{name: _json_value(value) for name, value in summary.items()},
        }
        if status != "interrupted":
            write_atomic(self.path / "summary.json", json.dumps(full, indent=2).encode())
        self._write_status(status)
        return full

    def __enter__(self) -> RunDir:
        self._lock = Lock(self.path / ".lock")
        self.signals.__enter__()
        if self._extends:
            (self.path / "summary.json").unlink(missing_ok=True)
            self._write_config()
        if not self.resumed:
            write_atomic(self.path / "environment.json", json.dumps(environment(), indent=2).encode())
        if self.summary is None:
            self._write_status("running")
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        try:
            if error is not None:
                self._record(error)
        finally:
            self.signals.__exit__()
            self.tables.close()
            self._lock.release()

    def _record(self, error: BaseException) -> None:
        """Note how a run failed; a disk that is full must not hide why."""
        try:
            (self.path / "error.log").write_text("".join(traceback.format_exception(error)))
            if isinstance(error, KeyboardInterrupt):
                self.exit_code = 130
                self._write_status("interrupted")
            else:
                self.exit_code = error.exit_code if isinstance(error, HpcliError) else 1
                self._write_status("failed")
        except OSError:
            pass

    def _write_config(self) -> None:
        header = f"# Fully resolved: `hpcli {self.command} -c` this file runs it again.\n"
        write_atomic(self.path / "config.yaml", (header + to_yaml(self.config)).encode())

    def _write_status(self, status: str) -> None:
        record = {
            "status": status,
            "command": self.command,
            "exit_code": None if status in ("created", "running") else self.exit_code,
            "step": self.step,
            "pid": os.getpid(),
            "updated": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        }
        write_atomic(self.path / "status.json", json.dumps(record, indent=2).encode())


def folder_config(path: Path) -> Config:
    """The config of a run folder.

    Raises:
        UsageError: not a run folder.
    """
    if not (path / "config.yaml").is_file():
        raise UsageError(f"{path}: not a run folder (it has no config.yaml); --resume takes one")
    return read_config(path / "config.yaml")


def run_status(path: Path) -> str:
    """How a run stands; `crashed` where it says running and no process holds it."""
    status = str(json.loads((path / "status.json").read_text())["status"])
    return "crashed" if status in ("created", "running") and not is_locked(path / ".lock") else status


def _json_value(value: Any) -> Any:
    """JSON has no NaN and no infinity: null."""
    if isinstance(value, dict):
        return {key: _json_value(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_json_value(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
