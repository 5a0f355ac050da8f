"""A run is gone on with where its data have moved, if they are the same."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hpcli import Run
from hpcli.cli import main
from hpcli.config import load_config, with_overrides
from hpcli.recording.disk import DiskRecorder
from hpcli.signals import StopSignals

WORDS = ["--set=data.name=folder", "--set=model.name=shallow3", "--set=data.batch_size=4", "--device=cpu", "-q"]


def write(root: Path, seed: int = 0) -> Path:
    random = np.random.default_rng(seed)
    for name in ("cat", "dog"):
        (root / "train" / name).mkdir(parents=True)
        for number in range(8):
            Image.fromarray(random.integers(0, 256, (8, 8), np.uint8)).save(root / "train" / name / f"{number}.png")
    return root


@pytest.fixture
def stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run that was stopped after its fifth step."""
    write(tmp_path / "old")
    monkeypatch.setattr("hpcli.recording.folder_recorder.FolderRecorder.should_stop", lambda run: run.step == 4)
    monkeypatch.setattr(StopSignals, "exit_code", 130)
    assert main(["train", "--epochs=3", "--out=run", "--set=data.root=old", *WORDS]) == 130
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    return tmp_path / "run"


def test_data_that_have_moved(stopped: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--epochs=3", "--out=whole", "--set=data.root=old", *WORDS]) == 0
    shutil.move("old", "new")
    assert main(["train", "--resume=run", "-q", "--device=cpu"]) == 3  # nothing there
    capsys.readouterr()
    assert main(["train", "--resume=run", "--set=data.root=new", "--dry-run"]) == 0
    assert load_config("run/config.yaml").data.root == "old"
    assert main(["train", "--resume=run", "--set=data.root=new", "-q", "--device=cpu"]) == 0
    assert load_config("run/config.yaml").data.root == "new"
    assert Run.open("run").config.data.root == "new"
    assert Path("run/steps.csv").read_bytes() == Path("whole/steps.csv").read_bytes()


def test_other_data_there_are_refused_and_nothing_is_noted(stopped: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(Path("other"), seed=1)
    assert main(["train", "--resume=run", "--set=data.root=other", "-q", "--device=cpu"]) == 3
    assert "other train images, though as many" in capsys.readouterr().err
    assert load_config("run/config.yaml").data.root == "old"
    assert main(["train", "--resume=run", "-q", "--device=cpu"]) == 0


def test_nothing_else_may_change_along_with_it(stopped: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.move("old", "new")
    words = ["--set=data.root=new", "--set=data.augment=none"]
    assert main(["train", "--resume=run", *words]) == 4
    assert "run: its config differs in data.augment; leave these out" in capsys.readouterr().err


def test_a_run_that_does_not_know_its_data_keeps_its_root(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with DiskRecorder.create("train", with_overrides(load_config(), {"data.root": "old"}), Path("fresh")):
        pass
    assert main(["train", "--resume=fresh", "--set=data.root=new"]) == 4
    assert "its config differs in data.root" in capsys.readouterr().err
