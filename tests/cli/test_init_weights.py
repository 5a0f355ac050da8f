"""`--init`: training starts from the weights that were meant when the command was given, or not at all."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
from pathlib import Path

import pytest
import torch

from hpcli import Run, load_config, load_weights
from hpcli.cli import main
from hpcli.recording.checkpoints import Checkpoints
from hpcli.recording.disk import DiskRecorder
from hpcli.states import RunStatus

FAST = ["--set=data.train_fraction=0.2", "--set=data.batch_size=32", "--set=model.name=shallow3", "--device=cpu", "-q"]


@pytest.fixture(autouse=True)
def _no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(DiskRecorder, "keep_figure", lambda *_: None)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("finished") / "first"
    assert train(str(path)) == 0
    return path


@pytest.fixture(autouse=True)
def _first(finished: Path, tmp_path: Path) -> None:
    """A finished run, `first`, to start from."""
    shutil.copytree(finished, tmp_path / "first")


def train(out: str, *more: str) -> int:
    return main(["train", "--epochs=2", "--out", out, *more, *FAST])


def killed(*arguments: str) -> None:
    """A run that is killed when it is about to save its first checkpoint."""
    child = os.fork()
    if not child:
        Checkpoints.save = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)  # type: ignore[method-assign]
        main([*arguments, *FAST])
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


def table(path: str) -> list[dict[str, str]]:
    with Path(path).open(newline="") as file:
        return [row | {"seconds": ""} for row in csv.DictReader(file)]


def error_of(capsys: pytest.CaptureFixture[str]) -> str:
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    return line


@pytest.mark.parametrize("weights", ["first:best", "first/model.safetensors"])
def test_killed_before_its_first_checkpoint_it_starts_from_the_same_weights(weights: str) -> None:
    assert train("whole", "--seed=1", "--init", weights) == 0
    killed("train", "--epochs=2", "--out", "cut", "--seed=1", "--init", weights)
    assert Run.open("cut").status is RunStatus.CRASHED
    assert Checkpoints(Path("cut/checkpoints")).read_index() == []
    assert main(["train", "--resume", "cut", *FAST[-2:]]) == 0
    for name in ("steps.csv", "metrics.csv", "test.csv", "weight_norms.csv"):
        assert table(f"cut/{name}") == table(f"whole/{name}"), name
    assert Path("cut/config.yaml").read_bytes() == Path("whole/config.yaml").read_bytes()
    assert train("fresh", "--seed=1") == 0
    assert table("fresh/steps.csv") != table("whole/steps.csv")


@pytest.mark.parametrize("weights", ["first", "first/model.safetensors"])
def test_other_weights_in_their_place_are_refused(weights: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Also by a run from the config, and once they are back it goes on."""
    killed("train", "--epochs=2", "--out", "cut", "--init", weights)
    Path("first").rename("kept")
    assert train("first", "--seed=5") == 0
    for again in (["--resume", "cut"], ["-c", "cut/config.yaml"]):
        assert main(["train", *again, *FAST[-2:]]) == 4
        assert "first" in (line := error_of(capsys))
        assert "has changed since the config was written (another SHA-256); name it anew" in line
    shutil.rmtree("first")
    assert main(["train", "--resume", "cut", *FAST[-2:]]) == 4
    assert "cannot be read (No such file or directory)" in error_of(capsys)
    Path("kept").rename("first")
    assert main(["train", "--resume", "cut", *FAST[-2:]]) == 0
    assert Run.open("cut").status is RunStatus.FINISHED
    assert not Path("runs").exists()


def test_the_first_step_is_of_the_weights_that_were_named() -> None:
    """With a learning rate of next to nothing the network stays what it was."""
    assert train("second", "--init=first:best", "--max-lr=1e-12", "--weight-decay=0") == 0
    before, after = load_weights("first:best"), load_weights("second")
    assert before.keys() == after.keys()
    assert all(torch.allclose(before[name], after[name], atol=1e-6) for name in before if "running" not in name)


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (["train", "--init", "nowhere"], "nowhere: cannot be read (No such file or directory)"),
        (["train", "--init", "nowhere.safetensors", "--out", "mine"], "nowhere.safetensors: cannot be read"),
        (["train", "--init", "first:epoch-0007"], "first: no checkpoint epoch-0007; it has best, last, epoch-0001"),
        (["lr-find", "--init", "nowhere"], "nowhere: cannot be read"),
        (["sweep-wd", "--values", "0,1", "--init", "nowhere"], "nowhere: cannot be read"),
        (["evaluate", "first:worst"], "first: no checkpoint worst; "),
    ],
)
def test_weights_that_are_not_there_leave_no_run_folder(
    arguments: list[str], what: str, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree("runs", ignore_errors=True)
    before = sorted(Path().rglob("*"))
    assert main([*arguments, *FAST]) == 4
    assert what in error_of(capsys)
    assert sorted(Path().rglob("*")) == before


def test_a_measurement_of_batch_sizes_loads_no_weights() -> None:
    assert main(["batch-size", "--sizes=16", "--set=init.weights=nowhere", "--out=sizes", *FAST]) == 0
    assert load_config("sizes/config.yaml").init.weights == "nowhere"


def test_weights_of_another_network_are_refused_by_the_first_difference(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--init", "first", "--out", "mine", *FAST, "--set=model.options.num_blocks=[1,1,1]",
                 "--set=model.name=resnet20"]) == 4  # fmt: skip
    assert "conv1.weight" in error_of(capsys)
    assert json.loads(Path("mine/status.json").read_text())["status"] == RunStatus.FAILED


def test_every_trial_of_a_sweep_starts_from_the_weights(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--values=1e-4,1", "--seeds=2", "--epochs=1", "--max-lr=1e-12"]
    assert main(["sweep-wd", *words[:-1], "--set=schedule.max_lr=1e-12", "--init=first", "--out=s", *FAST]) == 0
    losses = {float(row["valid_loss"]) for row in table("s/sweep.csv")}
    assert max(losses) - min(losses) < 1e-4
    assert main(["evaluate", "first", "--split=valid", "--json", *FAST[-2:]]) == 0
    assert losses.pop() == pytest.approx(json.loads(capsys.readouterr().out)["loss"], abs=0.02)
