from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest
from safetensors.torch import load_file

from hpcli.config import Config, load_config, with_overrides
from hpcli.errors import CheckpointError, UsageError
from hpcli.experiments.train import train
from hpcli.run_dir import RunDir, checkpoints, run_status
from hpcli.training.trainer import Trainer


@pytest.fixture
def eager_saves(monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkpoint after every step."""
    monkeypatch.setattr(checkpoints, "AT_MOST_SECONDS", 0.0)


def run(folder: RunDir) -> int:
    """What the command does, without the figures."""
    with folder as store:
        trainer = Trainer(store.config, device="cpu")
        result = train(store.config, store=store, trainer=trainer)
        store.weights(trainer.model.state_dict())
        store.finish(result.status, result.summary)
    return store.exit_code


def in_child(work: Callable[[], int]) -> int:
    """Start `work` in a forked process and return its number. torch is imported once."""
    child = os.fork()
    if child:
        return child
    try:
        code = work()
    except BaseException:
        traceback.print_exc()
        code = 99
    os._exit(code)


def ended(child: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def outcome(path: Path) -> dict[str, object]:
    """All that must be the same: tables without the column of seconds, and weights."""
    metrics = [line.rpartition(",")[0] for line in (path / "metrics.csv").read_text().splitlines()]
    weights = {name: tensor.numpy().tobytes() for name, tensor in load_file(path / "model.safetensors").items()}
    return {"steps": (path / "steps.csv").read_bytes(), "metrics": metrics, "weights": weights}


def test_a_finished_folder_holds_what_was_promised(config: Config, tmp_path: Path) -> None:
    folder = RunDir.create("train", config, tmp_path / "run")
    assert run(folder) == 0
    names = {path.name for path in (tmp_path / "run").iterdir()}
    assert names >= {
        "config.yaml", "environment.json", "status.json", "steps.csv", "metrics.csv", "checkpoints", "model.safetensors", "summary.json",
    }  # fmt: skip
    assert load_config(tmp_path / "run/config.yaml") == config
    summary = json.loads((tmp_path / "run/summary.json").read_text())
    assert (summary["command"], summary["status"], summary["steps"]) == ("train", "finished", 21)
    assert {
        "run_dir",
        "seconds",
        "train_loss",
        "valid_loss",
        "valid_accuracy",
        "valid_top5",
        "best_epoch",
        "epochs",
    } <= summary.keys()
    environment = json.loads((tmp_path / "run/environment.json").read_text())
    assert environment["packages"]["torch"]
    assert environment["argv"] == sys.argv
    assert run_status(tmp_path / "run") == "finished"


def test_an_existing_folder_is_not_touched(config: Config, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/thesis.txt").write_text("years of work")
    with pytest.raises(UsageError, match="exists already"):
        RunDir.create("train", config, tmp_path / "mine")
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["thesis.txt"]


def test_names_never_collide_and_latest_points_to_the_newest(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    children = [in_child(lambda: (RunDir.create("train", config), 0)[1]) for _ in range(8)]
    assert [ended(child) for child in children] == [0] * 8
    folders = [path for path in (tmp_path / "runs").iterdir() if not path.is_symlink()]
    assert len(folders) == 8
    assert (tmp_path / "runs/latest/config.yaml").exists()


def test_one_of_many_resumes(config: Config, tmp_path: Path) -> None:
    path = tmp_path / "run"
    RunDir.create("train", config, path)

    def resume() -> int:
        with RunDir.reopen("train", path, config):
            wait_for(tmp_path / "the others have tried")
        return 0

    def guarded() -> int:
        try:
            return resume()
        except Exception as error:
            return int(getattr(error, "exit_code", 99))

    children = {in_child(guarded) for _ in range(8)}
    for _ in range(7):
        child, status = os.wait()
        children.remove(child)
        assert os.waitstatus_to_exitcode(status) == 8
    (tmp_path / "the others have tried").touch()
    assert ended(children.pop()) == 0


@pytest.mark.usefixtures("eager_saves")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGUSR1])
def test_a_signal_ends_the_step_and_saves(config: Config, tmp_path: Path, number: signal.Signals) -> None:
    config = with_overrides(config, {"train.epochs": 200})
    child = in_child(lambda: run(RunDir.create("train", config, tmp_path / "run")))
    wait_for(tmp_path / "run/checkpoints/index.json")
    os.kill(child, number)
    assert ended(child) == 128 + number
    status = json.loads((tmp_path / "run/status.json").read_text())
    assert (status["status"], status["exit_code"]) == ("interrupted", 128 + number)
    assert not (tmp_path / "run/summary.json").exists()
    saved = json.loads((tmp_path / "run/checkpoints/index.json").read_text())["entries"][-1]
    rows = (tmp_path / "run/steps.csv").read_text().splitlines()
    assert saved["step"] == len(rows) - 2 == status["step"]


def wait_for(path: Path, seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not path.exists():
        assert time.monotonic() < deadline, f"{path} did not appear"
        time.sleep(0.005)


def test_a_crash_shows_as_one(config: Config, tmp_path: Path) -> None:
    config = with_overrides(config, {"train.epochs": 200})
    child = in_child(lambda: run(RunDir.create("train", config, tmp_path / "run")))
    wait_for(tmp_path / "run/steps.csv")
    assert run_status(tmp_path / "run") == "running"
    os.kill(child, signal.SIGKILL)
    ended(child)
    assert run_status(tmp_path / "run") == "crashed"


def test_an_error_is_recorded(config: Config, tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), RunDir.create("train", config, tmp_path / "run"):
        _ = 1 / 0
    status = json.loads((tmp_path / "run/status.json").read_text())
    assert (status["status"], status["exit_code"]) == ("failed", 1)
    assert "ZeroDivisionError" in (tmp_path / "run/error.log").read_text()


def test_a_changed_config_is_refused_by_name(config: Config, tmp_path: Path) -> None:
    RunDir.create("train", config, tmp_path / "run")
    other = with_overrides(config, {"train.epochs": 5, "schedule.max_lr": 0.5})
    with pytest.raises(CheckpointError, match=r"differs in schedule\.max_lr, train\.epochs"):
        RunDir.reopen("train", tmp_path / "run", other)
    with pytest.raises(UsageError, match="not a run folder"):
        RunDir.reopen("train", tmp_path, config)


def killed_at_random(
    config: Config, path: Path, whole: dict[str, object], seconds: float, generator: random.Random, most: int
) -> int:
    """Kill a run at random moments, at most so often, resume it each time, and compare; return the number of kills."""
    kills = 0
    while True:

        def attempt(*, first: bool = not path.exists()) -> int:
            return run(RunDir.create("train", config, path) if first else RunDir.reopen("train", path, config))

        child = in_child(attempt)
        if kills < most:
            time.sleep(generator.uniform(0, seconds))
            os.kill(child, signal.SIGKILL)
        code = ended(child)
        if (path / "summary.json").exists():
            assert outcome(path) == whole
            return kills
        assert code == -signal.SIGKILL, f"exit code {code}"
        kills += 1
        if path.exists() and not (path / "config.yaml").exists():  # killed before it was a run folder
            shutil.rmtree(path)


@pytest.mark.usefixtures("eager_saves")
@pytest.mark.parametrize("name", ["adamw", "sgd"])
def test_killed_and_resumed_it_is_the_same_run(config: Config, tmp_path: Path, name: str) -> None:
    """kill -9 at random moments; tables to the byte, weights to the bit (one thread)."""
    config = with_overrides(
        config, {"optimizer.name": name, "model.name": "resnet20", "model.options.num_blocks": "[1, 1, 1]"}
    )
    assert ended(in_child(lambda: run(RunDir.create("train", config, tmp_path / "whole")))) == 0
    started = time.monotonic()
    assert ended(in_child(lambda: run(RunDir.create("train", config, tmp_path / "again")))) == 0
    seconds = time.monotonic() - started
    whole = outcome(tmp_path / "whole")
    assert outcome(tmp_path / "again") == whole
    kills = killed_at_random(config, tmp_path / "killed", whole, seconds, random.Random(name), most=6)
    assert kills >= 1


@pytest.mark.torture
@pytest.mark.usefixtures("eager_saves")
def test_two_hundred_kills(config: Config, tmp_path: Path) -> None:
    config = with_overrides(config, {"model.name": "resnet20", "model.options.num_blocks": "[1, 1, 1]"})
    started = time.monotonic()
    assert ended(in_child(lambda: run(RunDir.create("train", config, tmp_path / "whole")))) == 0
    seconds = time.monotonic() - started
    whole, generator, kills, number = outcome(tmp_path / "whole"), random.Random(0), 0, 0
    while kills < 200:
        number += 1
        kills += killed_at_random(config, tmp_path / f"killed{number}", whole, seconds, generator, most=10)
    assert kills >= 200
