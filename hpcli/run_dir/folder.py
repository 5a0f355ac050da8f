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
from hpcli.errors import DIVERGED, CheckpointError, HpcliError, HpcliWarning, UsageError
from hpcli.experiments.store import Row, State
from hpcli.run_dir.checkpoints import Checkpoints
from hpcli.run_dir.environment import environment
from hpcli.run_dir.files import Lock, is_locked, point_link, write_atomic
from hpcli.run_dir.tables import Tables
from hpcli.signals import StopSignals

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RUNS = Path("runs")


class RunDir:
    """Use as a context manager: entering takes the lock and the signals, leaving writes how it ended."""

    def __init__(self, path: Path, command: str, config: Config, *, resumed: bool) -> None:
        self.path, self.command, self.config, self.resumed = path, command, config, resumed
        self.tables = Tables(path)
        self.checkpoints = Checkpoints(path / "checkpoints")
        self.signals = StopSignals()
        self.exit_code = 0
        self.step: int | None = None  # the last one in a table
        self._started = time.monotonic()

    @classmethod
    def create(cls, command: str, config: Config, out: Path | None = None) -> RunDir:
        """Make a new folder, `out` or one named by command, data and time under `runs/`.

        Raises:
            UsageError: `out` exists already; nothing in it is touched.
        """
        path = _make_new(out) if out else _make_dated(f"{command}-{config.data.name.replace(':', '-')}")
        run = cls(path, command, config, resumed=False)
        run._write_status("created")
        header = f"# Fully resolved: `hpcli {command} -c` this file runs it again.\n"
        write_atomic(path / "config.yaml", (header + to_yaml(config)).encode())
        if out is None:
            point_link(RUNS / "latest", path)
        return run

    @classmethod
    def reopen(cls, command: str, path: Path, config: Config) -> RunDir:
        """Go on with an existing folder.

        Raises:
            UsageError: not a run folder, or another command's.
            CheckpointError: `config` is not the folder's.
        """
        status = path / "status.json"
        own = json.loads(status.read_text())["command"] if status.exists() else command
        if own != command:
            raise UsageError(f"{path}: a run of {own}, not of {command}; go on with it by hpcli {own} --resume {path}")
        keys = ", ".join(differing_keys(folder_config(path), config))
        if keys:
            raise CheckpointError(f"{path}: its config differs in {keys}; leave these out, or start a new run")
        return cls(path, command, config, resumed=True)

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
        self.exit_code = {"finished": 0, "diverged": DIVERGED, "interrupted": self.signals.exit_code}[status]
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
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _make_new(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        path.mkdir()
    except FileExistsError:
        raise UsageError(f"--out {path}: exists already; choose another, or go on with it by --resume {path}") from None
    return path


def _make_dated(name: str) -> Path:
    RUNS.mkdir(exist_ok=True)
    stem = f"{name}-{time.strftime('%Y%m%d-%H%M%S')}"
    number = 1
    while True:
        path = RUNS / (stem if number == 1 else f"{stem}-{number}")
        try:
            path.mkdir()
            return path
        except FileExistsError:
            number += 1
