"""Every block of the README runs as written."""

from __future__ import annotations

import csv
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from hpcli.cli.app import app
from hpcli.config import load_config

README = Path(__file__).parents[1] / "README.md"
BLOCKS = re.findall(r"^```(bash|yaml|python)\n(.*?)^```", README.read_text(), re.DOTALL | re.MULTILINE)
INSTALL = re.compile(r"^pip install -e (\.|'\.\[dev\]') && ", re.MULTILINE)


def test_there_are_blocks_of_each_kind() -> None:
    assert {kind for kind, _ in BLOCKS} == {"bash", "yaml", "python"}
    assert sum(bool(INSTALL.search(text)) for _, text in BLOCKS) == 2


@pytest.mark.parametrize("block", [text for kind, text in BLOCKS if kind == "bash"])
def test_commands(block: str, tmp_path: Path) -> None:
    """What follows the installation; of the tests, that they are found (they are running)."""
    script = INSTALL.sub("", block).replace(
        "pytest",
        f"{sys.executable} -m pytest --collect-only -q -p no:xdist -o addopts=--import-mode=importlib {README.parent}",
    )
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False,
        env={**os.environ, "PATH": path},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("block", [text for kind, text in BLOCKS if kind == "yaml"])
def test_configs(block: str, tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(block)
    assert load_config(tmp_path / "c.yaml").train.checkpoint_epochs == (4,)


@pytest.mark.parametrize("block", [text for kind, text in BLOCKS if kind == "python"])
def test_code(block: str, tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", block], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert list(tmp_path.iterdir()) == []


def test_every_command_is_documented() -> None:
    names = [command.name or command.callback.__name__ for command in app.registered_commands if command.callback]
    assert names
    assert all(f"`hpcli {name}" in README.read_text() for name in names)


def test_the_table_of_finders_is_the_benchmarks() -> None:
    results = (README.parent / "benchmarks/results/lr_find_peers.csv").read_text().splitlines()[1:]
    for row in csv.DictReader(results):
        lines = README.read_text().splitlines()
        (line,) = [line for line in lines if line.startswith(f"| {row['finder']}") and line.count("|") == 7]
        suggestion, spread, steps, seconds, loss = [cell.strip() for cell in line.split("|")[2:7]]
        assert suggestion == f"{float(row['median_lr']):.2g}"
        assert [spread, steps, seconds] == [f"{float(row[name]):.1f}" for name in ("spread", "steps", "seconds")]
        assert loss == f"{float(row['valid_loss']):.3f} ± {float(row['valid_loss_sd']):.3f}"


def test_the_table_of_data_cost_is_the_benchmarks() -> None:
    lines = (README.parent / "benchmarks/results/loader.csv").read_text().splitlines()[1:]
    shares = {
        (row["model"], row["way"]): f"{float(row['share_of_raw']):.0%}".replace("%", " %")
        for row in csv.DictReader(lines)
    }
    for way, text in (
        ("hpcli", "hpcli"),
        *((f"DataLoader, {n} workers", f"PyTorch's DataLoader and Pillow, {n} workers") for n in (0, 2)),
    ):
        assert f"| {text} | {shares['resnet20', way]} | {shares['tiny', way]} |" in README.read_text()


def test_the_speed_of_interpolation_is_the_benchmarks() -> None:
    lines = (README.parent / "benchmarks/results/interpolation.csv").read_text().splitlines()[1:]
    for row in csv.DictReader(lines):
        name = {"interpolate": "averaged", "recompute": "measured anew"}[row["bn"]]
        assert f"| {name} | {float(row['speedup']):.2f} × |" in README.read_text()


def test_every_picture_is_there() -> None:
    pictures = re.findall(r"!\[.*?\]\((.*?)\)", README.read_text())
    assert pictures
    assert all((README.parent / picture).is_file() for picture in pictures)
