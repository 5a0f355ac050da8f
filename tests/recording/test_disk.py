from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file

from hpcli.config import Config, load_config, with_overrides
from hpcli.errors import CheckpointError, DataError, HpcliWarning, UsageError
from hpcli.experiments.train import train
from hpcli.recording import checkpoints
from hpcli.recording.disk import DiskRecorder
from hpcli.recording.folder import Folder
from hpcli.recording.rows import Row
from hpcli.recording.status import Standing
from hpcli.states import RunStatus
from tests.reliability.harness import ended, in_child


@pytest.fixture
def eager_saves(monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkpoint after every step."""
    monkeypatch.setattr(checkpoints, "AT_MOST_SECONDS", 0.0)


def run(folder: DiskRecorder) -> int:
    """What the command does, without the figures."""
    with folder as recorder:
        result = train(recorder.config, recorder=recorder, device="cpu")
        recorder.finish(result.status, result.summary())
    return recorder.exit_code


def outcome(path: Path) -> dict[str, object]:
    """All that must be the same: tables without the column of seconds, weights, and the kept batch."""
    metrics = [line.rpartition(",")[0] for line in (path / "metrics.csv").read_text().splitlines()]
    weights = {name: tensor.numpy().tobytes() for name, tensor in load_file(path / "model.safetensors").items()}
    tables = {name: (path / f"{name}.csv").read_bytes() for name in ("steps", "weight_norms", "classes", "test")}
    batch = {name: array.tobytes() for name, array in (Folder(path).arrays("batch") or {}).items()}
    return {**tables, "metrics": metrics, "weights": weights, "batch": batch}


def test_a_finished_folder_holds_what_was_promised(config: Config, tmp_path: Path) -> None:
    folder = DiskRecorder.create("train", config, tmp_path / "run")
    assert run(folder) == 0
    names = {path.name for path in (tmp_path / "run").iterdir()}
    assert names >= {
        "config.yaml", "environment.json", "status.json", "steps.csv", "metrics.csv", "checkpoints", "model.safetensors", "summary.json",
        "classes.csv", "weight_norms.csv", "test.csv", "batch.npz",
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
    status = json.loads((tmp_path / "run/status.json").read_text())
    assert (status["format"], status["command"], status["exit_code"], status["step"]) == (3, "train", 0, 20)
    assert status["seconds"] >= summary["seconds"] > 0
    assert Folder(tmp_path / "run").status == RunStatus.FINISHED


def test_an_existing_folder_is_not_touched(config: Config, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/thesis.txt").write_text("years of work")
    with pytest.raises(UsageError, match="exists already"):
        DiskRecorder.create("train", config, tmp_path / "mine")
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["thesis.txt"]


def test_names_never_collide_and_latest_points_to_the_newest(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    def create() -> int:
        DiskRecorder.create("train", config)
        return 0

    children = [in_child(create) for _ in range(8)]
    assert [ended(child) for child in children] == [0] * 8
    folders = [path for path in (tmp_path / "runs").iterdir() if not path.is_symlink()]
    assert len(folders) == 8
    assert (tmp_path / "runs/latest/config.yaml").exists()


def test_one_of_many_resumes(config: Config, tmp_path: Path) -> None:
    path = tmp_path / "run"
    DiskRecorder.create("train", config, path)

    def resume() -> int:
        with DiskRecorder.reopen("train", path, config):
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
    child = in_child(lambda: run(DiskRecorder.create("train", config, tmp_path / "run")))
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
    child = in_child(lambda: run(DiskRecorder.create("train", config, tmp_path / "run")))
    wait_for(tmp_path / "run/steps.csv")
    assert Folder(tmp_path / "run").status == RunStatus.RUNNING
    os.kill(child, signal.SIGKILL)
    ended(child)
    assert Folder(tmp_path / "run").status == RunStatus.CRASHED


def test_an_error_is_recorded(config: Config, tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), DiskRecorder.create("train", config, tmp_path / "run"):
        _ = 1 / 0
    status = json.loads((tmp_path / "run/status.json").read_text())
    assert (status["status"], status["exit_code"]) == ("failed", 1)
    assert "ZeroDivisionError" in (tmp_path / "run/error.log").read_text()


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (DataError("no images"), RunStatus.FAILED, 3),
        (OSError(28, "No space left on device"), RunStatus.FAILED, 1),
        (KeyboardInterrupt(), RunStatus.INTERRUPTED, 130),
    ],
)
def test_how_it_ended_is_noted_with_its_exit_code(
    config: Config, tmp_path: Path, error: BaseException, status: RunStatus, code: int
) -> None:
    recorder = DiskRecorder.create("train", config, tmp_path / "run")
    with pytest.raises(type(error)), recorder:
        raise error
    standing = Folder(tmp_path / "run").standing
    assert standing is not None
    assert (standing.status, standing.exit_code, recorder.exit_code) == (status, code, code)


def test_a_full_disk_does_not_hide_why_a_run_failed(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(ZeroDivisionError), DiskRecorder.create("train", config, tmp_path / "run"):
        monkeypatch.setattr(Path, "write_text", full)
        _ = 1 / 0


@pytest.mark.parametrize(
    ("status", "summary", "code"),
    [
        (RunStatus.FINISHED, {"failed": 0}, 0),
        (RunStatus.FINISHED, {"failed": 2}, 9),
        (RunStatus.DIVERGED, {}, 6),
        (RunStatus.FAILED, {}, 9),
    ],
)
def test_a_run_that_is_over_has_a_summary_and_an_exit_code(
    config: Config, tmp_path: Path, status: RunStatus, summary: dict[str, object], code: int
) -> None:
    with DiskRecorder.create("train", config, tmp_path / "run") as recorder:
        full = recorder.finish(status, {**summary, "loss": float("nan"), "all": (1, float("inf")), "by": {"a": -0.5}})
    assert recorder.exit_code == code
    assert full == recorder.summary == json.loads((tmp_path / "run/summary.json").read_text())
    assert (full["status"], full["run_dir"], full["loss"], full["all"], full["by"]) == (
        status, str(tmp_path / "run"), None, [1, None], {"a": -0.5},
    )  # fmt: skip


def test_a_damaged_summary_is_none(config: Config, tmp_path: Path) -> None:
    with DiskRecorder.create("train", config, tmp_path / "run") as recorder:
        recorder.finish(RunStatus.FINISHED, {})
    for text in ("", "{", "[1, 2]", "null", "\0"):
        (tmp_path / "run/summary.json").write_text(text)
        assert recorder.summary is None


@dataclass(frozen=True)
class Place(Row, table="places"):
    alpha: float


def test_all_processes_of_a_run_count(config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Seconds add up; tables are those of all; the environment is that of the first."""
    now = [100.0]
    monkeypatch.setattr("hpcli.recording.folder_recorder.time.monotonic", lambda: now[0])
    with DiskRecorder.create("train", config, tmp_path / "run") as recorder:
        recorder.add(Place(0.0))
        now[0] += 7
        recorder.finish(RunStatus.INTERRUPTED, {})
    made_with = (tmp_path / "run/environment.json").read_bytes()
    (tmp_path / "run/environment.json").write_bytes(made_with + b" ")
    now[0] += 1000
    with DiskRecorder.reopen("train", tmp_path / "run", config) as recorder:
        assert recorder.status == RunStatus.RUNNING
        recorder.add(Place(1.0))
        now[0] += 5
        assert recorder.finish(RunStatus.FINISHED, {})["seconds"] == 12.0
    assert Folder(tmp_path / "run").seconds == 12.0
    assert Folder(tmp_path / "run").rows(Place) == [Place(0.0), Place(1.0)]
    assert (tmp_path / "run/environment.json").read_bytes() == made_with + b" "


def test_the_best_epoch_is_always_kept_and_others_saved_as_time_allows(config: Config, tmp_path: Path) -> None:
    recorder = DiskRecorder.create("train", config, tmp_path / "run")
    recorder.checkpoints._save_seconds = 1000.0
    assert not recorder.is_due(ends_epoch=True, is_best=False)
    assert recorder.is_due(ends_epoch=True, is_best=True)
    recorder.save({"step": 1}, step=1, valid_loss=0.5)
    assert recorder.checkpoints.find("best") is None  # held, as it was not due
    recorder.finish(RunStatus.DIVERGED, {})
    best = recorder.checkpoints.find("best")
    assert best is not None
    assert best.step == 1
    recorder.checkpoints._save_seconds = 0.0
    assert recorder.is_due(ends_epoch=True, is_best=False)
    assert not recorder.is_due(ends_epoch=False, is_best=False)


def test_arrays_come_back_and_damaged_ones_are_named(config: Config, tmp_path: Path) -> None:
    recorder = DiskRecorder.create("train", config, tmp_path / "run")
    assert recorder.arrays("batch") is None
    recorder.keep_arrays("batch", {"images": np.arange(6, dtype=np.uint8).reshape(2, 3), "labels": np.array([4, -5])})
    found = recorder.arrays("batch")
    assert found is not None
    assert {name: (array.dtype.name, array.tolist()) for name, array in found.items()} == {
        "images": ("uint8", [[0, 1, 2], [3, 4, 5]]), "labels": ("int64", [4, -5]),
    }  # fmt: skip
    for junk in (b"", b"junk", (tmp_path / "run/batch.npz").read_bytes()[:-40]):
        (tmp_path / "run/batch.npz").write_bytes(junk)
        with pytest.raises(CheckpointError, match=r"batch\.npz: damaged"):
            recorder.arrays("batch")


def test_a_figure_that_fails_is_a_warning(config: Config, tmp_path: Path) -> None:
    from matplotlib.figure import Figure

    class Broken(Figure):
        def savefig(self, *_: object, **__: object) -> None:
            raise ValueError("no such colour")

    recorder = DiskRecorder.create("train", config, tmp_path / "run")
    with pytest.warns(HpcliWarning, match=r"curve\.png was not drawn: no such colour; its numbers are in the CSV"):
        recorder.keep_figure("curve", Broken())
    assert not (tmp_path / "run/curve.png").exists()
    recorder.keep_figure("curve", Figure())
    assert (tmp_path / "run/curve.png").read_bytes().startswith(b"\x89PNG")


def test_a_changed_config_is_refused_by_name(config: Config, tmp_path: Path) -> None:
    DiskRecorder.create("train", config, tmp_path / "run")
    other = with_overrides(config, {"train.epochs": 5, "schedule.max_lr": 0.5})
    with pytest.raises(CheckpointError, match=r"differs in schedule\.max_lr, train\.epochs"):
        DiskRecorder.reopen("train", tmp_path / "run", other)
    with pytest.raises(UsageError, match="not a run folder"):
        DiskRecorder.reopen("train", tmp_path, config)
    with pytest.raises(UsageError, match=r"a run of train, not of sweep; go on with it by hpcli train --resume .*run"):
        DiskRecorder.reopen("sweep", tmp_path / "run", other)


def test_keys_that_extend_a_run_may_differ(config: Config, tmp_path: Path) -> None:
    """It then has no summary any more, and the new config; the same config finds what is finished as it was."""
    with DiskRecorder.create("sweep", config, tmp_path / "run") as recorder:
        recorder.finish(RunStatus.FINISHED, {"n": 1})
    with DiskRecorder.reopen("sweep", tmp_path / "run", config) as same:
        assert same.summary is not None
        assert same.summary["n"] == 1
    assert Folder(tmp_path / "run").status == RunStatus.FINISHED
    more = with_overrides(config, {"sweep.seeds": 5, "sweep.values": {"optimizer.weight_decay": [0.1]}})
    with pytest.raises(CheckpointError, match=r"its config differs in sweep\.epochs; leave these out"):
        DiskRecorder.reopen("sweep", tmp_path / "run", with_overrides(more, {"sweep.epochs": 9}))
    assert load_config(tmp_path / "run/config.yaml") == config
    with DiskRecorder.reopen("sweep", tmp_path / "run", more) as extended:
        assert extended.summary is None
        assert not (tmp_path / "run/summary.json").exists()
        assert load_config(tmp_path / "run/config.yaml") == more
        assert extended.status == RunStatus.RUNNING
        extended.finish(RunStatus.FINISHED, {"n": 2})
    with DiskRecorder.reopen("sweep", tmp_path / "run", more, again=True) as again:
        assert again.summary is None
    assert Folder(tmp_path / "run").config == more


def test_only_a_run_that_goes_on_is_said_to_be_one(config: Config, tmp_path: Path) -> None:
    recorder = DiskRecorder.create("train", config, tmp_path / "run")
    assert Folder(tmp_path / "run").status == RunStatus.CRASHED  # created, and no process holds it
    standing = recorder.folder.standing
    assert standing == Standing(RunStatus.CRASHED, "train", None, None, standing.seconds if standing else None)


def killed_at_random(
    config: Config, path: Path, whole: dict[str, object], seconds: float, generator: random.Random, most: int
) -> int:
    """Kill a run at random moments, at most so often, resume it each time, and compare; return the number of kills."""
    kills = 0
    while True:

        def attempt(*, first: bool = not path.exists()) -> int:
            return run(
                DiskRecorder.create("train", config, path) if first else DiskRecorder.reopen("train", path, config)
            )

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
        config, {"optimizer.name": name, "model.name": "resnet20", "model.options.num_blocks": [1, 1, 1]}
    )
    assert ended(in_child(lambda: run(DiskRecorder.create("train", config, tmp_path / "whole")))) == 0
    started = time.monotonic()
    assert ended(in_child(lambda: run(DiskRecorder.create("train", config, tmp_path / "again")))) == 0
    seconds = time.monotonic() - started
    whole = outcome(tmp_path / "whole")
    assert outcome(tmp_path / "again") == whole
    kills = killed_at_random(config, tmp_path / "killed", whole, seconds, random.Random(name), most=6)
    assert kills >= 1


@pytest.mark.torture
@pytest.mark.usefixtures("eager_saves")
def test_two_hundred_kills(config: Config, tmp_path: Path) -> None:
    config = with_overrides(config, {"model.name": "resnet20", "model.options.num_blocks": [1, 1, 1]})
    started = time.monotonic()
    assert ended(in_child(lambda: run(DiskRecorder.create("train", config, tmp_path / "whole")))) == 0
    seconds = time.monotonic() - started
    whole, generator, kills, number = outcome(tmp_path / "whole"), random.Random(0), 0, 0
    while kills < 200:
        number += 1
        kills += killed_at_random(config, tmp_path / f"killed{number}", whole, seconds, generator, most=10)
    assert kills >= 200
