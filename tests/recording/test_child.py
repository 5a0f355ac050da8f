"""A run within another one: gone on with, taken as it is, or started anew; in memory and on disk alike."""

from __future__ import annotations

import json
import signal
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from hpcli.config import Config, load_config, with_overrides
from hpcli.errors import HpcliWarning, RunInUseError
from hpcli.recording.child import ChildFolder
from hpcli.recording.disk import DiskRecorder
from hpcli.recording.memory import MemoryRecorder
from hpcli.recording.recorder import ParentRecorder
from hpcli.recording.rows import Row
from hpcli.recording.status import _digest as digest
from hpcli.states import RunStatus


@dataclass(frozen=True)
class Place(Row, table="places"):
    alpha: float


@pytest.fixture(params=["memory", "disk"])
def parent(request: pytest.FixtureRequest, config: Config, tmp_path: Path) -> ParentRecorder:
    return MemoryRecorder() if request.param == "memory" else DiskRecorder.create("sweep", config, tmp_path / "run")


@pytest.fixture
def disk(config: Config, tmp_path: Path) -> DiskRecorder:
    return DiskRecorder.create("sweep", config, tmp_path / "run")


def test_a_run_that_has_not_begun_is_not_found(parent: ParentRecorder) -> None:
    assert parent.find_child("a") is None


def test_what_it_recorded_can_be_read_while_it_runs_and_after(parent: ParentRecorder, config: Config) -> None:
    own = with_overrides(config, {"seed": 5})
    with parent.child("a", own) as child:
        child.add(Place(0.5))
        found = parent.find_child("a")
        assert found is not None
        assert (found.config, found.rows(Place)) == (own, [Place(0.5)])
        child.finish(RunStatus.FINISHED, {})
    assert found.status == child.status == RunStatus.FINISHED
    assert found.seconds is not None
    assert found.seconds >= 0
    assert child.find_child("b") is None
    assert parent.find_child("b") is None


@pytest.mark.parametrize("status", [RunStatus.FINISHED, RunStatus.DIVERGED])
def test_one_that_is_over_is_taken_as_it_is(parent: ParentRecorder, config: Config, status: RunStatus) -> None:
    with parent.child("a", config) as child:
        child.add(Place(0.5))
        child.finish(status, {})
        seconds = child.seconds
    with parent.child("a", config) as again:
        assert (again.status, again.rows(Place)) == (status, [Place(0.5)])
    found = parent.find_child("a")
    assert found is not None
    assert found.status == status
    assert again.seconds == pytest.approx(seconds, abs=0.5)


def test_one_that_was_interrupted_is_not_over(parent: ParentRecorder, config: Config) -> None:
    with parent.child("a", config) as child:
        child.finish(RunStatus.INTERRUPTED, {})
    with parent.child("a", config) as again:
        assert not again.status.is_over


def test_memory_starts_an_interrupted_one_anew_as_it_has_no_state(config: Config) -> None:
    made: list[Config] = []

    class Own(MemoryRecorder):
        def new_child(self, config: Config) -> MemoryRecorder:
            made.append(config)
            return super().new_child(config)

    parent = Own()
    with parent.child("a", config) as child:
        child.add(Place(0.5))
        child.finish(RunStatus.INTERRUPTED, {})
    with parent.child("a", config) as again:
        assert again.rows(Place) == []
        again.finish(RunStatus.FINISHED, {})
    with parent.child("a", config) as over:
        assert over is again
    assert made == [config, config]


def test_a_recorder_of_nothings_own_has_no_config() -> None:
    with pytest.raises(ValueError, match="made without a config"):
        _ = MemoryRecorder().config


def test_disk_goes_on_from_the_state_of_an_interrupted_one(disk: DiskRecorder, config: Config) -> None:
    with disk.child("a", config) as child:
        child.add(Place(0.5))
        child.save({"step": 3}, step=3)
        child.add(Place(0.75))
        child.finish(RunStatus.INTERRUPTED, {})
    with disk.child("a", config) as again:
        state = again.load()
        assert state == {"step": 3}
        assert again.rows(Place) == [Place(0.5)]
        again.finish(RunStatus.FINISHED, {})
    assert not (again.path / "checkpoints").exists()
    assert again.path == disk.path / "trials/a"


def test_one_that_failed_is_gone_on_with_and_its_error_forgotten_once_it_is_over(
    disk: DiskRecorder, config: Config
) -> None:
    with pytest.raises(ZeroDivisionError), disk.child("a", config) as child:
        child.save({"step": 3}, step=3)
        _ = 1 / 0
    assert disk.find_child("a") is not None
    assert "ZeroDivisionError" in (child.path / "error.log").read_text()
    with disk.child("a", config) as again:
        assert again.load() == {"step": 3}
        again.finish(RunStatus.FINISHED, {})
    assert not (child.path / "error.log").exists()


SPOILT: dict[str, dict[str, str | None]] = {
    "damaged status": {"status.json": "{"},
    "no status": {"status.json": None},
    "damaged config": {"config.yaml": "data: 3"},
    "no config": {"config.yaml": None},
    "format 1": {"status.json": '{"status": "finished", "command": "train"}'},
    "another run's": {"config.yaml": "seed: 77"},
    "neither": {"status.json": None, "config.yaml": None},
}
"""What is wrong → files with other content, or without one."""


@pytest.mark.filterwarnings("ignore::hpcli.errors.HpcliWarning")
@pytest.mark.parametrize("files", SPOILT.values(), ids=SPOILT)
def test_a_folder_that_is_not_this_runs_any_more_starts_anew(
    disk: DiskRecorder, config: Config, files: dict[str, str | None]
) -> None:
    with disk.child("a", config) as child:
        child.add(Place(0.5))
        child.finish(RunStatus.FINISHED, {})
    for name, text in files.items():
        (child.path / name).unlink()
        if text is not None:
            (child.path / name).write_text(text)
    with disk.child("a", config) as again:
        assert not again.status.is_over
        assert again.rows(Place) == []
        assert not (again.path / "summary.json").exists()
    assert load_config(again.path / "config.yaml") == config


@pytest.mark.filterwarnings("ignore:.*using the one before it")
@pytest.mark.parametrize("name", ["places.csv", "checkpoints/index.json", "checkpoints/step-00000003.pt"])
def test_an_interrupted_one_that_was_damaged_starts_anew(disk: DiskRecorder, config: Config, name: str) -> None:
    """It would fail of it each time that its sweep is gone on with."""
    with disk.child("a", config) as child:
        child.add(Place(0.5))
        child.save({"step": 3}, step=3)
        child.finish(RunStatus.INTERRUPTED, {})
    path = child.path / name
    path.write_bytes(b"0" + path.read_bytes()[1:])
    status = child.path / "status.json"  # as after a kill: nothing is sealed
    before = json.loads(status.read_text()) | {"files": {}}
    del before["sha256"]
    status.write_text(json.dumps(before | {"sha256": digest(before)}))
    with pytest.warns(HpcliWarning, match="it is trained anew"), disk.child("a", config) as again:
        assert again.load() is None
        assert again.rows(Place) == []


def test_what_came_after_the_checkpoint_is_not_read(disk: DiskRecorder, config: Config) -> None:
    with disk.child("a", config) as child:
        child.add(Place(0.5))
        child.save({"step": 3}, step=3)
        child.add(Place(0.75))
    with disk.child("a", config) as again:
        assert again.rows(Place) == [Place(0.5)]
        state = again.load()
        assert state is not None
        assert state["step"] == 3


def test_keys_that_change_no_run_do_not_start_it_anew(disk: DiskRecorder, config: Config) -> None:
    with disk.child("a", config) as child:
        child.finish(RunStatus.FINISHED, {})
    with disk.child("a", with_overrides(config, {"sweep.seeds": 7, "lr_find.steps": 33})) as again:
        assert again.status == RunStatus.FINISHED


def test_keepsakes_are_not_kept(disk: DiskRecorder, config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    """A state is saved to go on from, not for its label; the best epoch is no reason, and weights are not written."""
    with disk.child("a", config) as child:
        assert isinstance(child, ChildFolder)
        child.checkpoints._save_seconds = 1000.0
        assert not child.is_due(ends_epoch=True, is_best=True)
        child.save({"step": 1}, step=1, labels=("epoch-0000",))
        child.keep_weights({"w": torch.ones(1)})
        assert not (child.path / "checkpoints").exists()
        assert not (child.path / "model.safetensors").exists()
        monkeypatch.setattr(child, "should_stop", lambda: True)
        child.save({"step": 2}, step=2, labels=("epoch-0001",))
        assert (child.path / "checkpoints/epoch-0001.pt").exists()


def test_one_that_is_laid_out_is_there_for_any_process_to_take(disk: DiskRecorder, config: Config) -> None:
    child = disk.child("a", config)
    assert child.publish() == RunStatus.CREATED
    found = disk.find_child("a")
    assert found is not None
    assert (found.config, found.status) == (config, RunStatus.CRASHED)  # as far as its lock tells
    with disk.child("a", config) as taken:
        taken.add(Place(0.5))
        with pytest.raises(RunInUseError):
            disk.child("a", config).publish()
        taken.finish(RunStatus.FINISHED, {})
    assert disk.child("a", config).publish() == RunStatus.FINISHED
    assert found.rows(Place) == [Place(0.5)]
    (child.path / "places.csv").write_text("alpha\n0.7\n")
    with pytest.warns(HpcliWarning, match="trained anew"):
        assert disk.child("a", config).publish() == RunStatus.CREATED


def test_one_that_failed_is_laid_out_again_with_its_checkpoint(disk: DiskRecorder, config: Config) -> None:
    with pytest.raises(ZeroDivisionError), disk.child("a", config) as child:
        child.signals.received = signal.SIGTERM
        child.save({"a": torch.ones(1)}, step=3)
        raise ZeroDivisionError
    assert child.status == RunStatus.FAILED
    assert disk.child("a", config).publish() == RunStatus.FAILED  # as it may have done just now
    assert disk.child("a", config).publish(again=True) == RunStatus.CREATED
    found = child.folder.standing
    assert found is not None
    assert found.saved == 3
    disk.child("a", config).give_up("nobody is left")
    assert child.folder.status == RunStatus.FAILED
    assert (child.path / "error.log").read_text() == "nobody is left\n"
