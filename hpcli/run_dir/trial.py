"""A trial's run folder: within its experiment's, without pictures, its checkpoints gone once it is finished."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hpcli.config import Config, differing_keys, read_config
from hpcli.errors import ConfigError
from hpcli.experiments.store import State
from hpcli.run_dir.folder import RunDir
from hpcli.signals import StopSignals


class TrialDir(RunDir):
    """Saves a state only to be able to go on; nobody asks a trial for its checkpoints."""

    @classmethod
    def of(cls, path: Path, config: Config, signals: StopSignals) -> TrialDir:
        """The folder of a trial, new or to go on with. One that is not this trial's any more starts anew."""
        if path.exists() and not _is_intact(path, config):
            shutil.rmtree(path)
        resumed = path.exists()
        path.mkdir(parents=True, exist_ok=True)
        run = cls(path, "train", config, resumed=resumed, signals=signals)
        if not resumed:
            run._write_status("created")
            run._write_config()
        return run

    def save(self, state: State, *, step: int, labels: Sequence[str] = (), valid_loss: float | None = None) -> None:
        """Save a checkpoint, unless it would only be a keepsake."""
        if not labels or self.should_stop():
            super().save(state, step=step, labels=labels, valid_loss=valid_loss)

    def finish(self, status: str, summary: Mapping[str, Any]) -> dict[str, Any]:
        """Write the summary; nothing is left to go on with."""
        full = super().finish(status, summary)
        if status != "interrupted":
            shutil.rmtree(self.path / "checkpoints", ignore_errors=True)
            (self.path / "error.log").unlink(missing_ok=True)
        return full


def _is_intact(path: Path, config: Config) -> bool:
    """Whether a folder holds this trial: its config as it was, its summary readable if there is one."""
    try:
        if differing_keys(read_config(path / "config.yaml"), config):
            return False
        if (path / "summary.json").exists():
            json.loads((path / "summary.json").read_text())
    except (ConfigError, ValueError):
        return False
    return True
