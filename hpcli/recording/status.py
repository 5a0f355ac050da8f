"""`status.json`: what a run folder is, and how its run stands."""

from __future__ import annotations

import json
import math
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from hpcli.errors import CheckpointError
from hpcli.files import is_locked, write_atomic
from hpcli.states import RunStatus

FORMAT = 2
"""Of run folders. 1: tables without declared types, inputs that stood in no config."""
FILE, LOCK = "status.json", ".lock"


@dataclass(frozen=True)
class Standing:
    """What a run folder says of its run: status, command, exit code, last step, duration."""

    status: RunStatus
    command: str
    exit_code: int | None = None  # None: it has not ended
    step: int | None = None  # the last one in a table
    seconds: float | None = None  # of all processes together


def write_standing(folder: Path, standing: Standing) -> None:
    """Write `status.json`, whole and durably."""
    about = {"format": FORMAT, **asdict(standing), "pid": os.getpid(), "updated": time.strftime("%Y-%m-%dT%H:%M:%S%z")}
    write_atomic(folder / FILE, json.dumps(about, indent=2).encode())


def read_standing(folder: Path) -> Standing | None:
    """What `status.json` says; None: no such file. A run that is `running` while nothing holds its lock has crashed.

    Raises:
        CheckpointError: it is damaged, or of another format, which is named.
    """
    path = folder / FILE
    if not path.exists():
        return None
    try:
        about = json.loads(path.read_bytes())
        form = about.get("format", 1)
        if form != FORMAT:
            raise CheckpointError(
                f"{folder}: a run folder of format {form}; this hpcli reads format {FORMAT}. Its CSV files and "
                "model.safetensors are readable still (--init takes them); start a new run"
            )
        status = RunStatus(about["status"])
        numbers = {name: about[name] for name in ("exit_code", "step", "seconds")}
        standing = Standing(status, str(about["command"]), **numbers)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise CheckpointError(f"{path}: damaged ({error!r}); restore it, or start anew") from None
    alive = standing.status in (RunStatus.CREATED, RunStatus.RUNNING) and not is_locked(folder / LOCK)
    return Standing(RunStatus.CRASHED, standing.command, **numbers) if alive else standing


def json_value(value: object) -> object:
    """JSON has no NaN and no infinity: null."""
    if isinstance(value, dict):
        return {key: json_value(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [json_value(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
