"""`status.json`: what a run folder is, and how its run stands."""

from __future__ import annotations

import hashlib
import json
import math
import os
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from hpcli.errors import CheckpointError
from hpcli.files import is_locked, write_atomic
from hpcli.states import RunStatus

FORMAT = 3
"""Of run folders. 1: tables without declared types, inputs that stood in no config. 2: without `grad_norm` and
`processes`."""
READ = (2, FORMAT)
"""The formats that are read, and gone on with."""
FILE, LOCK = "status.json", ".lock"


@dataclass(frozen=True)
class Standing:
    """What a run folder says of its run: status, command, exit code, last step, duration; and what its files are."""

    status: RunStatus
    command: str
    exit_code: int | None = None  # None: it has not ended
    step: int | None = None  # the last one in a table
    seconds: float | None = None  # of all processes together
    saved: int | None = None  # the step of the newest checkpoint
    config: Mapping[str, object] | None = field(default=None, compare=False)  # as it was asked for; None: not noted
    replaced: Mapping[str, object] | None = field(default=None, compare=False)  # config.yaml may still be it
    files: Mapping[str, str] = field(default_factory=dict, compare=False)  # SHA-256 by file, of a run that has ended
    updated: str | None = field(default=None, compare=False)  # when this was written, as ISO 8601; read, never given


def write_standing(folder: Path, standing: Standing) -> None:
    """Write `status.json`, whole and durably."""
    about = {"format": FORMAT, **asdict(standing), "pid": os.getpid(), "updated": time.strftime("%Y-%m-%dT%H:%M:%S%z")}
    about = json.loads(json.dumps(about))
    write_atomic(folder / FILE, json.dumps({**about, "sha256": _digest(about)}, indent=2).encode())


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
        if form not in READ:
            raise CheckpointError(
                f"{folder}: a run folder of format {form}; this hpcli reads format {FORMAT}. Its CSV files and "
                "model.safetensors are readable still (--init takes them); start a new run"
            )
        standing = _standing(about)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, OSError) as error:
        raise CheckpointError(f"{path}: damaged ({error!r}); restore it, or start anew") from None
    alive = standing.status in (RunStatus.CREATED, RunStatus.RUNNING) and not is_locked(folder / LOCK)
    return replace(standing, status=RunStatus.CRASHED) if alive else standing


def _standing(about: dict[str, object]) -> Standing:
    """What was read, checked.

    Raises:
        ValueError, KeyError, TypeError: it is not what was written.
    """
    if about.pop("sha256", None) not in (None, _digest(about)):
        raise ValueError("its checksum differs")
    numbers = {name: about.get(name) for name in ("exit_code", "step", "seconds", "saved")}
    config, replaced, files = about.get("config"), about.get("replaced"), about.get("files", {})
    updated = about.get("updated")
    is_number = [each is None or (isinstance(each, int | float) and math.isfinite(each)) for each in numbers.values()]
    if not all(is_number) or not all(isinstance(each, dict | None) for each in (config, replaced, files or None)):
        raise ValueError("values of other types")
    status = RunStatus(str(about["status"]))
    given = {"config": config, "replaced": replaced, "files": files, "updated": updated and str(updated)}
    return Standing(status, str(about["command"]), **given, **numbers)  # type: ignore[arg-type]


def _digest(about: Mapping[str, object]) -> str:
    return hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()


def json_value(value: object) -> object:
    """JSON has no NaN and no infinity: null."""
    if isinstance(value, dict):
        return {key: json_value(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [json_value(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
