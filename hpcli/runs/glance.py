"""A run at a glance: how it stands, what it was asked, what it came to. From a few small files, without torch."""

from __future__ import annotations

import json
import math
import os
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import Path

from pydantic import ValidationError

from hpcli.commands import COMMANDS
from hpcli.config import Config
from hpcli.errors import HpcliError
from hpcli.recording.folder import Folder
from hpcli.recording.seal import SUMMARY, check_file
from hpcli.recording.status import FILE, Standing
from hpcli.results.facts import Facts
from hpcli.results.main_facts import ACCURACIES, LOSSES, first_number, main_facts
from hpcli.results.train import Epoch
from hpcli.runs.differing import Values, differing
from hpcli.states import RunStatus

SMALL = 2**18
"""Bytes: tables up to this size are compared with what they were when the run ended."""
MARKS = frozenset((FILE, "config.yaml", "environment.json"))
"""Files of every run folder; a folder that has two of them is one."""


@dataclass(frozen=True)
class Glance:
    """What is seen of a run at once."""

    path: Path
    name: str  # its path, seen from where one looks
    status: RunStatus  # damaged: see `fault`
    updated: float  # Unix time at which it last said how it stands
    command: str | None = None  # None: not known
    seconds: float | None = None  # all processes together
    config: Config | None = None  # None: not known
    summary: Facts = field(default_factory=dict)  # of a run that is not over, what there is so far
    fault: str = ""  # why it is damaged, in a line

    @property
    def module(self) -> str:
        """Of its command; empty: it is none of hpcli's, or not known."""
        return COMMANDS[self.command].module if self.command in COMMANDS else ""

    @cached_property
    def facts(self) -> Facts:
        """What it came to in its main facts."""
        return main_facts(self.module, self.summary)

    @cached_property
    def differs(self) -> Values:
        """The keys that its command makes use of and that are not the default."""
        return {} if self.config is None else differing(self.config, self.module)

    @property
    def loss(self) -> float | None:
        """The loss that it is judged by, in nats; None: its command has none, or it has none yet."""
        return first_number(self.facts, LOSSES)

    @property
    def accuracy(self) -> float | None:
        """As a fraction."""
        return first_number(self.facts, ACCURACIES)


def is_run(path: Path) -> bool:
    """Whether a folder is that of a run, even a damaged one."""
    return sum((path / name).is_file() for name in MARKS) > 1


def glance(path: Path, name: str | None = None) -> Glance:
    """Look at a run folder. What cannot be read is said in it.

    Args:
        path: a folder that `is_run`.
        name: how it is called; None: by its folder.
    """
    name, folder = path.name if name is None else name, Folder(path)
    try:
        standing = folder.standing
    except HpcliError as error:
        return Glance(path, name, RunStatus.DAMAGED, _changed(path), fault=str(error))
    if standing is None:
        fault = f"{path}: it has no {FILE}; restore it, or start anew"
        return Glance(path, name, RunStatus.DAMAGED, _changed(path), fault=fault)
    known = {"command": standing.command, "seconds": standing.seconds}
    if standing.status == RunStatus.CRASHED and standing.saved is None:
        known["seconds"] = None  # it was killed before it said how long it took
    config, summary, faults = None, {}, []  # type: Config | None, Facts, list[str]
    try:
        config = _config(folder, standing)
        summary = _summary(folder, standing)
        _check_tables(path, standing)
    except HpcliError as error:
        faults.append(str(error))
    except ValidationError as error:
        faults.append(f"{path}: a config of another hpcli ({'.'.join(map(str, error.errors()[0]['loc']))})")
    status = RunStatus.DAMAGED if faults else standing.status
    return Glance(
        path, name, status, _updated(path, standing), config=config, summary=summary, fault="".join(faults),
        **known,  # type: ignore[arg-type]
    )  # fmt: skip


def _config(folder: Folder, standing: Standing) -> Config:
    """What the run was asked; config.yaml is read where its status does not say so."""
    return folder.written_config if standing.config is None else Config.model_validate(standing.config)


def _summary(folder: Folder, standing: Standing) -> Facts:
    """`summary.json`; of a training run that is not over what its last epoch says.

    Raises:
        CheckpointError: a file is damaged.
    """
    path = folder.path / SUMMARY
    if path.is_file():
        check_file(path, standing.files)
        try:
            found = json.loads(path.read_bytes())
        except (ValueError, RecursionError, OSError):
            found = None
        return found if isinstance(found, dict) else {}
    epochs = folder.rows(Epoch) if standing.command == "train" else []
    if not epochs:
        return {}
    last = epochs[-1]
    numbers = {"valid_loss": last.valid_loss, "valid_accuracy": last.valid_accuracy}
    return {"epochs": len(epochs), **{name: each for name, each in numbers.items() if math.isfinite(each)}}


def _check_tables(path: Path, standing: Standing) -> None:
    """Compare the small tables of a run that is over with what they were.

    Raises:
        CheckpointError: one is missing or differs.
    """
    for name in standing.files:
        file = path / name
        if file.suffix == ".csv" and (not file.is_file() or file.stat().st_size <= SMALL):
            check_file(file, standing.files)


def _updated(path: Path, standing: Standing) -> float:
    try:
        return datetime.fromisoformat(standing.updated or "").timestamp()
    except (ValueError, OverflowError, OSError):
        return _changed(path)


def _changed(path: Path) -> float:
    """When anything in the folder was made or renamed."""
    return os.stat(path).st_mtime  # noqa: PTH116
