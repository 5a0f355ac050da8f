from __future__ import annotations

from pathlib import Path

import pytest

from hpcli.config import Momentum, load_config, set_in_file, shipped_config, with_overrides
from hpcli.config.varying import value_of
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
    set_in_file(path, "schedule.max_lr", 0.02)
    assert path.read_text() == after
    assert load_config(path).schedule.max_lr == 0.02


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("model:\n  name: resnet20\n", "model:\n  options: {dropout: [0, 0.5]}\n  name: resnet20\n"),
        ("model:\n  options: {dropout: [1, 1]}\n", "model:\n  options: {dropout: [0, 0.5]}\n"),
        (
            "model:\n  options:\n    # mine\n    num_blocks: [1, 1, 1]\n",
            "model:\n  options:\n    # mine\n    dropout: [0, 0.5]\n    num_blocks: [1, 1, 1]\n",
        ),
        ("model:\n  options: {}\n", "model:\n  options: {dropout: [0, 0.5]}\n"),
        ("seed: 1\n", "seed: 1\nmodel:\n  options: {dropout: [0, 0.5]}\n"),
    ],
)
def test_an_argument_of_the_network_is_written_into_its_options(tmp_path: Path, before: str, after: str) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(before)
    set_in_file(path, "model.options.dropout", [0, 0.5])
    assert path.read_text() == after


def test_a_whole_mapping_in_brackets_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("model: {options: {dropout: [1, 1]}, name: resnet20}  # mine\n")
    set_in_file(path, "model.options", {"num_blocks": [1, 1, 1]})
    assert path.read_text() == 'model: {options: {"num_blocks": [1, 1, 1]}, name: resnet20}  # mine\n'


@pytest.mark.parametrize(
    ("key", "value"), [("data.root", "2024"), ("model.options.variant", "18"), ("data.root", "a: b")]
)
def test_text_that_looks_like_something_else_stays_text(tmp_path: Path, key: str, value: str) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("data:\n  name: folder\n")
    set_in_file(path, key, value)
    assert value_of(load_config(path), key) == value


def test_comments_of_a_shipped_config_survive(tmp_path: Path) -> None:
    path = tmp_path / "digits.yaml"
    text = shipped_config("digits").read_text()
    path.write_text(text)
    set_in_file(path, "schedule.max_lr", 0.02)
    assert path.read_text() == text.replace("max_lr: 1e-2", "max_lr: 0.02")


def test_what_cannot_be_set_leaves_the_file_alone(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("schedule: {max_lr: 1e-3}\n")
    with pytest.raises(ConfigError, match="must be a number"):
        set_in_file(path, "schedule.max_lr", "0.02")  # text is not read
    with pytest.raises(ConfigError, match="must be above 0"):
        set_in_file(path, "schedule.max_lr", -1)
    assert path.read_text() == "schedule: {max_lr: 1e-3}\n"
    path.write_text("nonsense: 1\n")
    with pytest.raises(ConfigError, match="unknown key"):
        set_in_file(path, "schedule.max_lr", 0.1)


@pytest.mark.parametrize(
    ("key", "value", "text"),
    [
        ("schedule.momentum", Momentum(0.99, 0.9), "0.99-0.9"),
        ("schedule.momentum", "0.95-0.85", "0.95-0.85"),
        ("schedule.momentum", 0.9, "0.9"),
        ("optimizer.weight_decay", 1e-5, "1e-5"),
        ("optimizer.nesterov", False, "false"),
        ("data.valid_limit", None, "null"),
        ("data.batch_size", 512, "512"),
        ("train.checkpoint_epochs", [1, 2], "[1, 2]"),
    ],
)
def test_values_are_written_as_a_person_writes_them(tmp_path: Path, key: str, value: object, text: str) -> None:
    section, name = key.split(".")
    path = tmp_path / "c.yaml"
    path.write_text(f"# mine\n{section}: {{ }}\nseed: 3\n")
    set_in_file(path, key, value)
    assert path.read_text() == f"# mine\n{section}: {{{name}: {text} }}\nseed: 3\n"
    assert load_config(path) == with_overrides(load_config(path), {key: value})
    assert load_config(path).seed == 3


def test_ends_of_lines_stay_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_bytes(b"seed: 1\r\nschedule:\r\n  cycles: 1\r\n")
    set_in_file(path, "schedule.max_lr", 0.02)
    set_in_file(path, "optimizer.weight_decay", 0.5)
    assert path.read_bytes() == (
        b"seed: 1\r\nschedule:\r\n  max_lr: 0.02\r\n  cycles: 1\r\noptimizer:\r\n  weight_decay: 0.5\r\n"
    )


def test_permissions_and_a_link_stay(tmp_path: Path) -> None:
    real = tmp_path / "real.yaml"
    real.write_bytes(b"seed: 3\r\ntrain:\r\n  epochs: 2\r\n")
    real.chmod(0o640)
    (tmp_path / "link.yaml").symlink_to(real)
    set_in_file(tmp_path / "link.yaml", "train.epochs", 5)
    assert (tmp_path / "link.yaml").is_symlink()
    assert real.read_bytes() == b"seed: 3\r\ntrain:\r\n  epochs: 5\r\n"
    assert real.stat().st_mode & 0o777 == 0o640


def test_a_full_disk_leaves_the_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    (tmp_path / "c.yaml").write_text("seed: 3\n")
    monkeypatch.setattr("hpcli.files.os.fsync", full)
    with pytest.raises(OSError, match=r"c\.yaml: No space left"):
        set_in_file(tmp_path / "c.yaml", "train.epochs", 5)
    assert (tmp_path / "c.yaml").read_text() == "seed: 3\n"
