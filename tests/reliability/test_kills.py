"""kill -9 at random moments, over every command that resumes: the same tables to the byte, the same weights to the bit."""

from __future__ import annotations

import random
import time
from pathlib import Path
from typing import Any

import pytest

import hpcli.files
from hpcli.recording import checkpoints
from hpcli.recording.csv_files import CsvFiles
from hpcli.recording.disk import DiskRecorder
from hpcli.training.optimizer import Optimizer
from tests.reliability.harness import Killer, eager, kinds

KILLS = {"train": 15, "train --init": 43, "sweep": 8, "interpolate": 32, "tune": 2}
"""In all 100. Runs that take long are killed less often."""


@pytest.mark.parametrize("name", KILLS)
def test_kills(ends: list[Path], tmp_path: Path, name: str) -> None:
    with eager():
        killer = Killer(kinds(ends)[name], tmp_path, random.Random(name))
        kills = 0
        while kills < KILLS[name]:
            kills += killer.kill(most=10)


def test_kills_while_the_best_epoch_is_held_in_memory(ends: list[Path], tmp_path: Path) -> None:
    """The run that goes on comes to it again, and ends with the same one."""
    with eager(seconds=0.02):
        killer = Killer(kinds(ends)["train"], tmp_path, random.Random(1))
        kills = 0
        while kills < 20:
            kills += killer.kill(most=10)


@pytest.mark.torture
@pytest.mark.parametrize("name", KILLS)
@pytest.mark.parametrize("part", range(4))
def test_two_hundred_kills(ends: list[Path], tmp_path: Path, name: str, part: int) -> None:
    with eager():
        killer = Killer(kinds(ends)[name], tmp_path, random.Random(f"{name} {part}"))
        kills = 0
        while kills < 200:
            kills += killer.kill(most=20)


def _on_a_slow_disk(patch: pytest.MonkeyPatch) -> None:
    """So that kills fall between a row and the checkpoint after it, however busy the machine is."""
    save = checkpoints.Checkpoints.save

    def slowly(self: checkpoints.Checkpoints, *args: Any, **more: Any) -> None:
        time.sleep(0.02)
        save(self, *args, **more)

    patch.setattr(checkpoints.Checkpoints, "save", slowly)


def _rows_stay(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(CsvFiles, "cut_back", lambda *_: None)


def _no_moments(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Optimizer, "load_state_dict", lambda *_: None)


def _no_sum(patch: pytest.MonkeyPatch) -> None:
    load = DiskRecorder.load

    def forgetful(self: DiskRecorder) -> Any:
        state = load(self)
        return None if state is None else {**state, "loss_sum": 0.0, "loss_count": 1}

    patch.setattr(DiskRecorder, "load", forgetful)


def _in_place(patch: pytest.MonkeyPatch) -> None:
    def slowly(path: Path, data: bytes, *, mode: int | None = None) -> None:
        with path.open("wb") as file:
            file.write(data[: len(data) // 2])
            file.flush()
            time.sleep(0.05)
            file.write(data[len(data) // 2 :])

    for module in (hpcli.files, checkpoints):
        patch.setattr(module, "write_atomic", slowly)


@pytest.mark.parametrize("mutant", [_rows_stay, _no_moments, _no_sum, _in_place], ids=lambda each: each.__name__[1:])
def test_a_mutant_is_caught(ends: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mutant: Any) -> None:
    """A run that restores less, or saves less carefully, breaks the promise, and the kills show it."""
    with eager():
        _on_a_slow_disk(monkeypatch)
        killer = Killer(kinds(ends)["train --init"], tmp_path, random.Random(0))
        mutant(monkeypatch)
        with pytest.raises(AssertionError):
            for _ in range(20):
                killer.kill(most=10)
