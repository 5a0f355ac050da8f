"""`hpcli lr-find` on the command line: what it leaves, what it overlays, what it says to do next."""

from __future__ import annotations

import json
import shlex
from dataclasses import replace
from pathlib import Path

import pytest

from hpcli import catalog
from hpcli.analysis.suggestion import Suggestion
from hpcli.cli import main
from hpcli.config import load_config
from hpcli.results.lr_find import LRFindResult
from hpcli.runs.weights import pinned

FAST = ["--set=data.train_fraction=0.2", "--set=data.batch_size=32", "--set=model.name=shallow3", "--device=cpu"]
OWN_CODE = """
import numpy as np
import torch.nn as nn

from hpcli.data.digits import digits


def images():
    return digits()


def net(num_classes, image_size):
    return nn.Sequential(nn.Flatten(), nn.Linear(image_size[0] * image_size[1], num_classes))
"""


def test_lr_find_and_what_it_leaves(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lr-find", "--steps", "40", "--json", *FAST]) == 0
    summary = json.loads(capsys.readouterr().out)
    folder = Path(summary["run_dir"])
    assert folder.parent == Path("runs")
    assert Path("runs/latest").resolve() == folder.resolve()
    assert {"lr_find.csv", "lr_find.png", "steps.csv", "summary.json"} <= {path.name for path in folder.iterdir()}
    assert len((folder / "lr_find.csv").read_text().splitlines()) == summary["steps"] + 1


def test_lr_find_overlays_a_list_and_takes_a_single_value(capsys: pytest.CaptureFixture[str]) -> None:
    short = ["--steps", "10", "--seeds", "1", "--json", *FAST]
    assert main(["lr-find", "--weight-decay", "1e-4,1e-2", *short]) == 0
    assert list(json.loads(capsys.readouterr().out)["by_value"]) == ["1e-4", "0.01"]
    assert main(["lr-find", "--momentum", "0.9", "--out", "one", *short]) == 0
    assert "by_value" not in json.loads(capsys.readouterr().out)
    assert "momentum: 0.9" in Path("one/config.yaml").read_text()
    for arguments, what in {
        ("--weight-decay", "1e-4,x"): 'optimizer.weight_decay=x: "x": must be a number',
        ("--weight-decay", "1,2", "--momentum", "0.9,0.8"): "overlay one of them at a time",
        ("--momentum", "0.9,1.5"): "below 1",
        ("--seeds", "0"): "must be at least 1",
    }.items():
        assert main(["lr-find", *arguments]) == 2
        assert what in capsys.readouterr().err


def test_lr_find_refuses_and_strictly_fails(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["lr-find", "--steps", "12", "--seeds", "1", *FAST]
    assert main(arguments) == 0
    printed = capsys.readouterr()
    assert "No suggestion: only " in printed.out
    assert "usable steps, 20 are needed: raise steps." in printed.out
    assert "next:" not in printed.err
    assert main([*arguments, "--strict"]) == 6


def test_lr_find_writes_its_choice_into_a_config(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init", "digits"]) == 0
    edit("digits.yaml", "  name: resnet20", "  name: resnet20\n  options: {num_blocks: [1, 1, 1]}")
    settings = ["--steps=150", "--seeds=1", "--seed=2", "--set=train.epochs=3", "--device=cpu"]
    assert main(["lr-find", "-c", "digits.yaml", "--apply", "digits.yaml", *settings]) == 0
    printed = capsys.readouterr()
    assert "max_lr 0.0" in printed.out
    assert "next: hpcli sweep schedule.max_lr --values 0.0" in printed.err
    assert printed.err.rstrip().endswith(" -c digits.yaml --set train.epochs=3 --set seed=2 --device cpu")
    assert "wrote schedule.max_lr" in printed.err
    assert "max_lr: 1e-2" not in Path("digits.yaml").read_text()
    assert main(["train", "-c", "digits.yaml", "--dry-run", "-q"]) == 0


def edit(file: str, old: str, new: str) -> None:
    text = Path(file).read_text()
    assert old in text
    Path(file).write_text(text.replace(old, new))


REFUSED = {
    "the digits, for photographs": ([], "data.name", "start from it, -c photos.yaml, or write them into it"),
    "another optimizer": (["-c", "photos.yaml", "--set=optimizer.name=sgd"], "optimizer.name; write it", ""),
    "another momentum": (["-c", "photos.yaml", "--momentum=0.9"], "schedule.momentum; write it", "leave it away here"),
    "other momenta, overlaid": (["-c", "photos.yaml", "--momentum=0.9,0.8"], "schedule.momentum; write it", ""),
}


@pytest.mark.parametrize(("given", "named", "remedy"), REFUSED.values(), ids=REFUSED.keys())
@pytest.mark.parametrize("dry", [[], ["--dry-run"]])
def test_a_learning_rate_is_not_written_into_a_config_of_another_set_up(
    given: list[str], named: str, remedy: str, dry: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    text = "data: {name: folder, root: photos, image_size: 8}\nmodel: {name: shallow3}\n"
    Path("photos.yaml").write_text(text)
    assert main(["lr-find", *given, "--apply", "photos.yaml", *dry]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: --apply photos.yaml: what would run is of another set-up: ")
    assert named in line
    assert remedy in line
    assert Path("photos.yaml").read_text() == text
    assert not Path("runs").exists()


def test_a_config_that_differs_in_nothing_that_counts_is_written_into(tmp_path: Path) -> None:
    """Length and seed, speed, keys that do nothing, and a folder by another path."""
    from hpcli.config import other_setup
    from hpcli.config.loading import read_config

    Path("a.yaml").write_text("data: {name: folder, root: photos, image_size: 8}\noptimizer: {weight_decay: 0}\n")
    given = {
        **{"data.root": str(tmp_path / "photos"), "data.eval_batch_size": 7, "seed": 3, "lr_find.steps": 30},
        **{"optimizer.decay_norm_and_bias": False, "train.precision": "fp32"},
    }
    assert other_setup(Path("a.yaml"), read_config("a.yaml", given)) == ["train.precision"]


def next_command(printed: str) -> list[str]:
    """The words after `next: hpcli`."""
    (line,) = [line for line in printed.splitlines() if line.startswith("next: ")]
    hpcli, *words = shlex.split(line.removeprefix("next: "))
    assert hpcli == "hpcli"
    return words


def test_the_next_command_works_on_the_same_thing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever made this run is repeated: pasted as it stands, the line finds the same code, data and network."""
    (tmp_path / "mine_of_lr_find.py").write_text(OWN_CODE)
    Path("my config.yaml").write_text("data: {name: 'mine_of_lr_find:images'}\n")
    arguments = [
        *("lr-find", "-c", "my config.yaml", "--seed", "7", "--device", "cpu", "--allow-code", "--steps", "150"),
        *("--set", "model.name=mine_of_lr_find:net", "--set", "data.batch_size=32", "--set", "data.augment=none"),
        *("--weight-decay", "1e-3", "--momentum", "0.95-0.85", "--end-lr", "100", "--set", "data.train_fraction=0.5"),
        *("--set", "optimizer.eps=0.000000012345678901"),
    ]
    assert main([*arguments, "--out", "found"]) == 0
    words = next_command(capsys.readouterr().err)
    assert words[:3] == ["sweep", "schedule.max_lr", "--values"]
    repeated = words[4:]
    assert repeated[:2] == ["-c", "my config.yaml"]
    assert repeated[-3:] == ["--device", "cpu", "--allow-code"]
    assert dict(each.split("=", 1) for each in repeated[3:-3:2]) == {
        "seed": "7",
        "model.name": "mine_of_lr_find:net",
        "data.batch_size": "32",
        "data.augment": "none",
        "data.train_fraction": "0.5",
        "optimizer.eps": "1.2345678901e-08",
        "optimizer.weight_decay": "1e-3",
        "schedule.momentum": "0.95-0.85",
    }
    monkeypatch.setattr(catalog, "allowed_code", set())
    assert main([*arguments, "--dry-run", "--json"]) == 0
    of_the_test = json.loads(capsys.readouterr().out)
    monkeypatch.setattr(catalog, "allowed_code", set())
    assert main([*words, "--dry-run", "--json"]) == 0
    of_the_sweep = json.loads(capsys.readouterr().out)
    shared = ("data", "train_images", "valid_images", "classes", "model", "optimizer", "weight_decay", "batch_size")
    assert [of_the_sweep[name] for name in shared] == [of_the_test[name] for name in shared]
    assert of_the_sweep["model"] == "mine_of_lr_find:net"
    assert min(trial["seed"] for trial in of_the_sweep["trials"]) == 7
    assert main([word for word in words if word != "--allow-code"] + ["--dry-run"]) == 0  # allowed above
    monkeypatch.setattr(catalog, "allowed_code", set())
    assert main([word for word in words if word != "--allow-code"] + ["--dry-run"]) == 2


def test_the_next_command_starts_from_the_same_weights(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--epochs", "1", "-q", "--out", "a run", *FAST]) == 0
    long = ["--init", "a run", "--steps", "150", "--seeds", "1", "--end-lr", "1"]
    assert main(["lr-find", *long, *FAST]) == 0
    words = next_command(capsys.readouterr().err)
    assert "init.weights=a run" in words
    seeds = ["--seeds", "1"] if words[0] == "sweep" else []  # a narrow range is trained with at once
    assert main([*words, *seeds, "--epochs", "1", "--out", "next", "-q"]) == 0
    assert load_config("next/config.yaml").init.weights == pinned("a run")


@pytest.mark.parametrize(
    ("low", "high", "command"),
    [
        (0.00092, 0.0022, "hpcli train --set "),
        (0.0016, 0.0016, "hpcli train --set "),
        (1e-3, 1e-2, "hpcli sweep schedule.max_lr --values 0.001,0.0016,0.01 "),
        (0.0016, 0.00479, "hpcli sweep schedule.max_lr --values 0.0016,0.0048 "),
    ],
)
def test_what_comes_next_lies_in_the_range_and_is_no_sweep_of_neighbours(
    low: float, high: float, command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real = LRFindResult.suggestion.fget  # type: ignore[attr-defined]

    def narrow(self: LRFindResult) -> Suggestion:
        found: Suggestion = real(self)
        return replace(found, suggested_lr=0.0016, low=low, high=high, refused=None)

    monkeypatch.setattr(LRFindResult, "suggestion", property(narrow))
    assert main(["lr-find", "--steps=60", "--seeds=1", "--start-lr=1e-4", *FAST]) == 0
    printed = capsys.readouterr().err
    assert f"next: {command}" in printed
    assert ("--set schedule.max_lr=0.0016" in printed) is ("train --set" in command)
