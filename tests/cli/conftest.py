"""What tests of the command line need: a folder of their own to work in, and plain, wide output."""

from __future__ import annotations

from pathlib import Path

import pytest

from hpcli import catalog
from hpcli.cli import main

SMALL = ("-q", "--device", "cpu", "--set", "schedule.max_lr=0.03", "--set", "model.name=shallow3")


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(catalog, "allowed_code", set())


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A training, a sweep and a range test, to be read: a test that changes one copies it."""
    folder = tmp_path_factory.mktemp("runs")
    assert main(["train", *SMALL, "--epochs", "2", "--out", str(folder / "train")]) == 0
    values = ("--values", "1e-3,1e-1", "--seeds", "2", "--epochs", "2")
    assert main(["sweep-wd", *SMALL, *values, "--out", str(folder / "sweep")]) == 0
    assert main(["lr-find", *SMALL, "--set", "lr_find.seeds=1", "--out", str(folder / "lr-find")]) == 0
    return folder
