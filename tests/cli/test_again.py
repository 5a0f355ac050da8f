"""A run's own config is all that it takes to run it again."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from hpcli import Run
from hpcli.cli import main
from hpcli.commands import COMMANDS
from hpcli.recording.disk import DiskRecorder

CLOCK = {"seconds", "step_seconds", "images_per_second"}
"""Columns of a clock."""


def tables(folder: Path) -> dict[str, list[dict[str, str]]]:
    """Every CSV of a run and of the runs within it, without what a clock said."""
    found = {}
    for path in sorted(folder.rglob("*.csv")):
        with path.open(newline="") as file:
            rows = [{name: text for name, text in row.items() if name not in CLOCK} for row in csv.DictReader(file)]
        found[str(path.relative_to(folder))] = rows
    return found


def arrays(folder: Path) -> dict[str, list[object]]:
    found = {}
    for path in sorted(folder.rglob("*.npz")):
        with np.load(path) as stored:
            found[f"{path.relative_to(folder)}"] = [stored[name].tolist() for name in stored.files]
    return found


def configs(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("config.yaml"))}


def test_every_command_is_run_again(kinds: dict[str, list[str]]) -> None:
    assert {line[0] for line in kinds.values()} == COMMANDS.keys()


def no_picture(recorder: DiskRecorder, name: str, _: Figure) -> None:
    (recorder.path / f"{name}.png").touch()


@pytest.mark.filterwarnings("ignore::hpcli.errors.HpcliWarning")
def test_a_runs_config_runs_it_again(run_of_each_kind: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(DiskRecorder, "keep_figure", no_picture)
    run, again = Run.open(run_of_each_kind), tmp_path / "again"
    standing = run.standing
    assert standing is not None
    words = ["-c", str(run.path / "config.yaml"), "--out", str(again), "--device", "cpu", "-q"]
    assert main([run.command, *words]) == standing.exit_code
    assert Run.open(again).status is run.status
    assert configs(again) == configs(run.path)
    assert tables(again) == tables(run.path)
    assert arrays(again) == arrays(run.path)
    assert {path.name for path in again.iterdir()} == {path.name for path in run.path.iterdir()}
