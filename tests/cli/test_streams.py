"""Whoever reads the output may go: the run goes on. Through real pipes and files."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.commands import Commands

TRAIN = "train --epochs 2 --set model.name=shallow3 --set data.train_fraction=0.2 --device cpu --out run"


@pytest.fixture(scope="module")
def commands(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Commands]:
    with Commands(tmp_path_factory.mktemp("bin")) as started:
        yield started


@pytest.mark.parametrize(
    "output",
    ["2>&1 | head -1", "2>&1 | true", "> /dev/full 2> err", "--json > /dev/full 2> err", "> /dev/full 2>&1"],
)
def test_a_run_outlives_its_reader(commands: Commands, output: str, tmp_path: Path) -> None:
    script = f"hpcli {TRAIN} {output}; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", script], env=commands.environment, capture_output=True, text=True, check=False)
    assert (done.returncode, "Traceback" in done.stderr) == (0, False), done.stderr
    status = json.loads((tmp_path / "run/status.json").read_text())
    assert (status["status"], status["exit_code"]) == ("finished", 0)
    assert len((tmp_path / "run/metrics.csv").read_text().splitlines()) == 3
    if output.endswith("2> err"):
        *_, last = (tmp_path / "err").read_text().splitlines()
        assert last == "warning: stdout: No space left on device; what was written there is not complete"


def test_a_run_needs_no_open_streams_and_prints_into_no_file(tmp_path: Path) -> None:
    script = f"{sys.executable} -m hpcli {TRAIN} <&- >&- 2>&-"
    assert subprocess.run(["bash", "-c", script], check=False).returncode == 0
    assert json.loads((tmp_path / "run/status.json").read_text())["status"] == "finished"
    for file in (tmp_path / "run").glob("*.csv"):
        assert "epoch 0" not in file.read_text()


def test_an_error_without_a_reader_keeps_its_code(commands: Commands) -> None:
    script = "hpcli train --set x=1 2>&1 | true; exit ${PIPESTATUS[0]}"
    assert subprocess.run(["bash", "-c", script], env=commands.environment, check=False).returncode == 2
