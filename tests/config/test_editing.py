from __future__ import annotations

from pathlib import Path

import pytest

from hpcli.config import load_config, set_in_file, shipped_config
from hpcli.errors import ConfigError


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("schedule:\n  max_lr: 1e-3   # mine\n  cycles: 1\n", "schedule:\n  max_lr: 0.02   # mine\n  cycles: 1\n"),
        ("schedule: {cycles: 1, max_lr: 1e-3} # x\nseed: 1\n", "schedule: {cycles: 1, max_lr: 0.02} # x\nseed: 1\n"),
        ("schedule:\n    # first\n    cycles: 1\n", "schedule:\n    # first\n    max_lr: 0.02\n    cycles: 1\n"),
        ("schedule: {cycles: 1}\n", "schedule: {max_lr: 0.02, cycles: 1}\n"),
        ("schedule: {}\n", "schedule: {max_lr: 0.02}\n"),
        ("# mine\nseed: 1\n", "# mine\nseed: 1\nschedule:\n  max_lr: 0.02\n"),
        ("", "schedule:\n  max_lr: 0.02\n"),
    ],
)
def test_one_value_changes_and_nothing_else(tmp_path: Path, before: str, after: str) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(before)
    set_in_file(path, "schedule.max_lr", "0.02")
    assert path.read_text() == after
    assert load_config(path).schedule.max_lr == 0.02


def test_comments_of_a_shipped_config_survive(tmp_path: Path) -> None:
    path = tmp_path / "digits.yaml"
    text = shipped_config("digits").read_text()
    path.write_text(text)
    set_in_file(path, "schedule.max_lr", "0.02")
    assert path.read_text() == text.replace("max_lr: 1e-2", "max_lr: 0.02")


def test_what_cannot_be_set_leaves_the_file_alone(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("schedule: {max_lr: 1e-3}\n")
    with pytest.raises(ConfigError, match="must be above 0"):
        set_in_file(path, "schedule.max_lr", "-1")
    assert path.read_text() == "schedule: {max_lr: 1e-3}\n"
    path.write_text("nonsense: 1\n")
    with pytest.raises(ConfigError, match="unknown key"):
        set_in_file(path, "schedule.max_lr", "0.1")
