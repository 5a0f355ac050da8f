"""What a command ends with can be typed: the next command works on the same thing."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest

from hpcli.cli import main

pytestmark = pytest.mark.filterwarnings("ignore::hpcli.errors.HpcliWarning")

FAST = ["--set=data.train_fraction=0.2", "--set=data.batch_size=32", "--set=model.name=shallow3", "--device=cpu"]
HOT = ["--set=optimizer.name=sgd", "--set=schedule.name=constant", "--set=schedule.momentum=0.9", "--max-lr=1e9"]


def next_of(text: str) -> list[str]:
    (line,) = [line for line in text.splitlines() if line[:6] == "next: "]
    return shlex.split(line[6:])


def test_after_a_training_that_learnt_nothing_comes_a_range_test(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--epochs=1", "--max-lr=1e-7", "--out=a run", *FAST]) == 0
    assert next_of(capsys.readouterr().err)[:2] == ["hpcli", "lr-find"]


def test_after_training_the_run_is_evaluated(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--epochs=3", "--max-lr=0.03", "--out=a run", *FAST, "--set=data.train_fraction=1"]) == 0
    words = next_of(capsys.readouterr().err)
    assert words == ["hpcli", "evaluate", "a run", "--device", "cpu"]
    assert main([*words[1:], "--json", "-q"]) == 0
    assert json.loads(capsys.readouterr().out)["split"] == "test"


def test_after_divergence_a_learning_rate_is_looked_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--epochs=1", "--out=hot", "--seed=3", *FAST, *HOT]) == 6
    words = next_of(capsys.readouterr().err)
    assert words[:2] == ["hpcli", "lr-find"]
    for option in ("seed=3", "optimizer.name=sgd", "data.batch_size=32", "model.name=shallow3"):
        assert option in words
    assert main([*words[1:], "--dry-run", "-q"]) == 0


def test_after_a_sweep_that_diverged_too(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["sweep", "schedule.max_lr", "--values=1e8,1e9", "--seeds=1", "--epochs=1", *FAST, *HOT[:3]]
    assert main(words) == 6
    assert next_of(capsys.readouterr().err)[:2] == ["hpcli", "lr-find"]


@pytest.mark.usefixtures("_anything_is_learnt")
def test_after_a_resumed_sweep_its_own_config_is_used(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["sweep", "schedule.max_lr", "--values=1e-3,1e-2", "--seeds=1", "--epochs=1", "--out=a"]
    assert main([*words, *FAST]) == 0
    assert next_of(capsys.readouterr().err)[:3] == ["hpcli", "train", "--set"]
    assert main(["sweep", "--resume=a", "--seeds=2", "--device=cpu"]) == 0
    assert next_of(capsys.readouterr().err)[:4] == ["hpcli", "train", "-c", "a/config.yaml"]


@pytest.mark.usefixtures("_anything_is_learnt")
def test_after_a_sweep_by_points_three_values_are_three_values(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["sweep-wd", "--values=1e-3,1e-1", "--points=3", "--seeds=1", "--epochs=1", "--out=a", *FAST]
    assert main(words) == 0
    capsys.readouterr()
    assert main(["sweep-wd", "--resume=a", "--points=4", "--device=cpu"]) == 0
    words = next_of(capsys.readouterr().err)
    assert main([*words[1:], "--dry-run", "--json"]) == 0
    listed = words[words.index("--values") + 1].split(",")
    tried = json.loads(capsys.readouterr().out)["values"]
    assert sorted(map(float, tried)) == sorted(map(float, {*listed}))


def test_after_a_range_test_of_several_values_the_first_is_trained_with(capsys: pytest.CaptureFixture[str]) -> None:
    values = "lr_find.values={optimizer.weight_decay: [1, 0.001]}"
    assert main(["lr-find", f"--set={values}", "--set=lr_find.seeds=1", "--set=lr_find.steps=60", *FAST]) == 0
    assert "optimizer.weight_decay=1" in next_of(capsys.readouterr().err)


def test_a_start_that_failed_leaves_its_folder_to_the_next(capsys: pytest.CaptureFixture[str]) -> None:
    folder = ["train", "--epochs=1", "-q", "--out=a", "--set=data.name=folder", "--set=data.root=nothing"]
    assert main([*folder, *FAST]) == 3
    assert Path("a/error.log").exists()
    assert main(["train", "--epochs=1", "--out=a", "--dry-run", *FAST]) == 0
    assert main(["train", "--epochs=1", "-q", "--out=a", *FAST]) == 0
    assert not Path("a/error.log").exists()
    assert main(["train", "--epochs=1", "-q", "--out=a", *FAST]) == 2  # now there is a run in it
    assert "exists already" in capsys.readouterr().err


@pytest.mark.parametrize("what", ["notes.txt", "config.yaml"])
def test_what_a_user_wrote_into_it_is_left(what: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["train", "--epochs=1", "-q", "--out=a", *FAST]
    assert main([*words, "--set=data.name=folder", "--set=data.root=nothing"]) == 3
    with Path("a", what).open("a") as file:
        file.write("# mine\n")
    before = {path.name: path.read_bytes() for path in Path("a").iterdir()}
    for more in (["--dry-run"], []):
        assert main([*words, *more]) == 2
        assert "--out a: exists already" in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in Path("a").iterdir()} == before
