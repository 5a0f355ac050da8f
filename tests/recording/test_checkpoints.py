from __future__ import annotations

import errno
import json
import os
import pickle
import random
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from hpcli.config import Config
from hpcli.errors import CheckpointError, HpcliWarning, StorageError
from hpcli.recording.checkpoint import load_state
from hpcli.recording.checkpoints import Checkpoints
from hpcli.recording.disk import DiskRecorder
from hpcli.results.train import Epoch, Step


def state(step: int) -> dict[str, Any]:
    return {"weights": torch.arange(300.0) + step, "step": step, "names": ["a", None, 0.5]}


def saved(folder: Path, steps: int = 3, **options: Any) -> Checkpoints:
    checkpoints = Checkpoints(folder)
    for step in range(steps):
        checkpoints.save(state(step), step=step, tables={"steps": step * 10}, **options)
    return checkpoints


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_newest_comes_back_with_its_tables(tmp_path: Path) -> None:
    saved(tmp_path / "c")
    loaded = Checkpoints(tmp_path / "c").load_newest()
    assert loaded is not None
    assert torch.equal(loaded[0]["weights"], state(2)["weights"])
    assert (loaded[0]["step"], loaded[1].step, loaded[1].tables) == (2, 2, {"steps": 20})
    assert Checkpoints(tmp_path / "none").load_newest() is None


def test_two_generations_the_best_and_the_labelled_are_kept(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path / "c")
    for step, (labels, loss) in enumerate(
        [((), 0.5), (("epoch-0001", "cycle-0"), 0.4), ((), 0.1), ((), 0.3), ((), 0.2), ((), float("nan"))]
    ):
        checkpoints.save(state(step), step=step, tables={}, labels=labels, valid_loss=loss)
    assert files(tmp_path / "c") == [
        "epoch-0001.pt",
        "index.json",
        "step-00000002.pt",
        "step-00000004.pt",
        "step-00000005.pt",
    ]


def test_saving_is_due_when_it_is_cheap_or_late(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr("hpcli.recording.checkpoints.time.monotonic", lambda: now[0])
    checkpoints = Checkpoints(tmp_path / "c")
    assert not checkpoints.is_due(ends_epoch=True)
    now[0] += 4
    assert checkpoints.is_due(ends_epoch=True)  # of the first save it is thought to take .02 s
    assert not checkpoints.is_due(ends_epoch=False)
    checkpoints._save_seconds = 1.0
    now[0] += 195
    assert not checkpoints.is_due(ends_epoch=True)
    now[0] += 1
    assert checkpoints.is_due(ends_epoch=True)
    assert not checkpoints.is_due(ends_epoch=False)
    now[0] += 200
    assert checkpoints.is_due(ends_epoch=False)


def damaged(path: Path, generator: random.Random) -> None:
    data = bytearray(path.read_bytes())
    kind = generator.randrange(3)
    if kind == 0:
        del data[generator.randrange(len(data)) :]
    elif kind == 1:
        data[generator.randrange(len(data))] ^= 1 << generator.randrange(8)
    else:
        start = generator.randrange(len(data)) // 512 * 512
        data[start : start + 512] = bytes(len(data[start : start + 512]))
        data[0] ^= 1  # a sector may have been zero already
    path.write_bytes(data)


@pytest.mark.parametrize("seed", range(60))
def test_damage_is_noticed_and_the_one_before_is_used(tmp_path: Path, seed: int) -> None:
    saved(tmp_path / "c")
    damaged(tmp_path / "c/step-00000002.pt", random.Random(seed))
    with pytest.warns(HpcliWarning, match=r"step-00000002\.pt: damaged.*using the one before"):
        loaded = Checkpoints(tmp_path / "c").load_newest()
    assert loaded is not None
    assert torch.equal(loaded[0]["weights"], state(1)["weights"])


@pytest.mark.parametrize("seed", range(40))
def test_a_damaged_index_is_noticed(tmp_path: Path, seed: int) -> None:
    saved(tmp_path / "c")
    path = tmp_path / "c/index.json"
    before = json.loads(path.read_bytes())
    damaged(path, random.Random(seed))
    try:
        loaded = Checkpoints(tmp_path / "c").load_newest()
    except CheckpointError as error:
        assert "index.json: damaged" in str(error)
    else:  # white space changed; the content did not
        assert json.loads(path.read_bytes()) == before
        assert loaded is not None


def test_with_no_checkpoint_intact_nothing_is_guessed(tmp_path: Path) -> None:
    saved(tmp_path / "c")
    for file in (tmp_path / "c").glob("*.pt"):
        file.write_bytes(b"")
    with pytest.warns(HpcliWarning), pytest.raises(CheckpointError, match="no checkpoint is intact"):
        Checkpoints(tmp_path / "c").load_newest()


def test_nothing_in_a_checkpoint_can_run(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.mkdir, (str(tmp_path / "ran"),)

    with pytest.raises(CheckpointError, match="not a checkpoint"):
        load_state(pickle.dumps(Evil()), tmp_path / "x.pt")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("fail_at", range(1, 9))
@pytest.mark.parametrize("call", ["fsync", "write", "replace"])
def test_a_disk_that_fails_leaves_the_old_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, fail_at: int
) -> None:
    """The n-th sync, write or rename of a save fails: what was there before still loads, and the next save works."""
    saved(tmp_path / "c", 2)
    checkpoints = Checkpoints(tmp_path / "c")
    checkpoints.load_newest()
    count = [0]

    def failing(original: Any) -> Any:
        def maybe(*args: Any, **kwargs: Any) -> Any:
            count[0] += 1
            if count[0] == fail_at:
                raise OSError(28, "No space left on device")
            return original(*args, **kwargs)

        return maybe

    with monkeypatch.context() as patch:
        if call == "fsync":
            patch.setattr(os, "fsync", failing(os.fsync))
        elif call == "replace":
            patch.setattr(Path, "replace", failing(Path.replace))
        else:
            patch.setattr(Path, "open", failing(Path.open))
        try:
            checkpoints.save(state(2), step=2, tables={})
            failed = False
        except OSError:
            failed = True
    loaded = Checkpoints(tmp_path / "c").load_newest()
    assert loaded is not None
    assert loaded[1].step in ((1, 2) if failed else (2,))
    assert torch.equal(loaded[0]["weights"], state(loaded[1].step)["weights"])
    again = Checkpoints(tmp_path / "c")
    again.load_newest()
    again.save(state(3), step=3, tables={})
    assert not [name for name in files(tmp_path / "c") if name.endswith(".tmp")]


def test_a_kill_between_any_two_file_operations_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy of the folder is taken before each rename and deletion of a save; each copy loads an intact state."""
    saved(tmp_path / "c", 2)
    copies: list[Path] = []
    replace, unlink = Path.replace, Path.unlink

    def snapshot() -> None:
        copies.append(tmp_path / f"copy{len(copies)}")
        shutil.copytree(tmp_path / "c", copies[-1])

    checkpoints = Checkpoints(tmp_path / "c")
    checkpoints.load_newest()

    def replaced(self: Path, to: Path) -> Path:
        snapshot()
        moved = replace(self, to)
        snapshot()
        return moved

    def unlinked(self: Path, missing_ok: bool = False) -> None:
        snapshot()
        unlink(self, missing_ok=missing_ok)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", replaced)
        patch.setattr(Path, "unlink", unlinked)
        checkpoints.save(state(2), step=2, tables={})
    assert len(copies) >= 5
    steps = []
    for copy in copies:
        loaded = Checkpoints(copy).load_newest()
        assert loaded is not None
        steps.append(loaded[1].step)
        for entry in Checkpoints(copy).read_index():  # the one to fall back on, too
            assert Checkpoints(copy).read(entry)
        assert torch.equal(loaded[0]["weights"], state(loaded[1].step)["weights"])
    assert steps == sorted(steps)
    assert (steps[0], steps[-1]) == (1, 2)


def recorded(folder: Path, config: Config) -> DiskRecorder:
    """A run that has written rows, none of them durably."""
    recorder = DiskRecorder.create("train", config, folder)
    for step in range(3):
        recorder.add(Step(step, 0.1, 0.9, 2.0))
    recorder.add(Epoch(0, 2, 2.0, 2.0, 2.0, 0.1, 0.5, 0.1, 0.9, 1.0))
    return recorder


def test_a_checkpoint_never_knows_of_rows_that_a_power_cut_takes_back(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tables are synced before the checkpoint is written, that before the index, and all before anything is said."""
    recorder = recorded(tmp_path / "run", config)
    calls: list[str] = []
    fsync, replace, rename = os.fsync, os.replace, os.rename

    def synced(descriptor: int) -> None:
        calls.append(f"sync {Path(f'/proc/self/fd/{descriptor}').readlink().name}")
        fsync(descriptor)

    def moved(name: str, original: Any) -> Any:
        def move(source: Any, target: Any, **options: Any) -> None:
            calls.append(f"{name} {Path(target).name}")
            original(source, target, **options)

        return move

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "replace", moved("replace", replace))
    monkeypatch.setattr(os, "rename", moved("rename", rename))
    recorder.save(state(2), step=2, labels=("epoch-0000",))
    assert sorted(calls[:2]) == ["sync metrics.csv", "sync steps.csv"]
    assert calls[2:7] == ["sync run", "sync run", "sync .index.json.tmp", "replace index.json", "sync checkpoints"]
    assert calls[7:] == [
        "sync .epoch-0000.pt.tmp", "replace epoch-0000.pt", "sync checkpoints",
        "sync .index.json.tmp", "replace index.json", "sync checkpoints",
        "sync .status.json.tmp", "replace status.json", "sync run",
    ]  # fmt: skip
    (entry,) = recorder.checkpoints.read_index()
    assert entry.tables == {name: (tmp_path / f"run/{name}.csv").stat().st_size for name in ("steps", "metrics")}


def test_a_disk_that_cannot_sync_its_tables_gets_no_checkpoint(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder, fsync = recorded(tmp_path / "run", config), os.fsync

    def failing(descriptor: int) -> None:
        if Path(f"/proc/self/fd/{descriptor}").readlink().suffix == ".csv":
            raise OSError(5, "Input/output error")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", failing)
    with pytest.raises(OSError, match="Input/output error"):
        recorder.save(state(2), step=2)
    assert not (tmp_path / "run/checkpoints").exists()


def test_checkpoints_are_found_by_what_they_are_and_by_their_names(tmp_path: Path) -> None:
    """Of two with the same loss the earlier one is the best; one whose loss is no number is not."""
    checkpoints = Checkpoints(tmp_path / "c")
    assert [checkpoints.find(label) for label in ("best", "last", "epoch-0001")] == [None, None, None]
    saves: list[tuple[tuple[str, ...], float | None]] = [
        (("epoch-0000",), 0.5), (("epoch-0001", "cycle-0"), 0.25), ((), 0.25), (("epoch-0003",), float("nan")), ((), None),
    ]  # fmt: skip
    for step, (labels, loss) in enumerate(saves):
        checkpoints.save(state(step), step=step, tables={}, labels=labels, valid_loss=loss)
    found = {label: Checkpoints(tmp_path / "c").find(label) for label in ("best", "last", "epoch-0001", "cycle-0")}
    assert {label: entry and entry.step for label, entry in found.items()} == {
        "best": 1, "last": 4, "epoch-0001": 1, "cycle-0": 1,
    }  # fmt: skip
    assert checkpoints.find("epoch-0007") is None


def test_what_a_resumed_run_left_behind_is_no_longer_among_the_best(tmp_path: Path) -> None:
    """Gone back to an earlier, intact state, it knows nothing of a later one."""
    checkpoints = Checkpoints(tmp_path / "c")
    for step, loss in enumerate((0.5, 0.1)):
        checkpoints.save(state(step), step=step, tables={}, valid_loss=loss)
    (tmp_path / "c/step-00000001.pt").write_bytes(b"")
    again = Checkpoints(tmp_path / "c")
    with pytest.warns(HpcliWarning, match="using the one before it"):
        again.load_newest()
    again.save(state(5), step=5, tables={}, valid_loss=0.3)
    best = again.find("best")
    assert best is not None
    assert best.step == 5
    assert files(tmp_path / "c") == ["index.json", "step-00000000.pt", "step-00000005.pt"]


def test_a_state_that_is_held_is_written_with_the_next(tmp_path: Path) -> None:
    """Unless a better one has come, held or saved, and then it is not."""
    checkpoints = Checkpoints(tmp_path / "c")
    tables: dict[str, int] = {}
    for step, loss in enumerate((0.5, 0.4)):
        checkpoints.hold(state(step), step=step, tables=tables, hashes={}, valid_loss=loss)
    assert not (tmp_path / "c").exists()
    for step in (2, 3, 4):
        checkpoints.save(state(step), step=step, tables={}, valid_loss=0.6)
    assert files(tmp_path / "c") == ["index.json", *(f"step-{step:08d}.pt" for step in (1, 3, 4))]
    checkpoints.hold(state(5), step=5, tables={}, hashes={}, valid_loss=0.3)
    checkpoints.save(state(6), step=6, tables={}, labels=("epoch-0003",), valid_loss=0.2)
    assert files(tmp_path / "c") == ["epoch-0003.pt", "index.json", "step-00000004.pt"]
    checkpoints.hold(state(7), step=7, tables={}, hashes={}, valid_loss=0.1)
    checkpoints.write_held()
    best = Checkpoints(tmp_path / "c").find("best")
    assert best is not None
    assert torch.equal(load_state(checkpoints.read(best), tmp_path)["weights"], state(7)["weights"])


def test_a_folder_that_cannot_be_made_is_the_disks_fault_and_not_the_runs(tmp_path: Path) -> None:
    """A sweep goes on after a trial that failed; of a full disk it must end."""
    (tmp_path / "checkpoints").write_text("")
    with pytest.raises(StorageError, match="checkpoints: "):
        Checkpoints(tmp_path / "checkpoints").save({}, step=1, labels=(), valid_loss=1.0, tables={})


def test_an_old_file_that_cannot_be_deleted_is_the_disks_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoints = Checkpoints(tmp_path / "checkpoints")
    for step in (1, 2):
        checkpoints.save({}, step=step, labels=(), valid_loss=float(step), tables={})

    def refused(path: Path, missing_ok: bool = False) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))

    monkeypatch.setattr(Path, "unlink", refused)
    with pytest.raises(StorageError):
        for step in (3, 4):
            checkpoints.save({}, step=step, labels=(), valid_loss=float(step), tables={})
