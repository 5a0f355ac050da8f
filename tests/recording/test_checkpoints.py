from __future__ import annotations

import json
import os
import pickle
import random
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from hpcli.errors import CheckpointError, HpcliWarning
from hpcli.run_dir import checkpoints as module
from hpcli.run_dir.checkpoints import Checkpoints


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
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    checkpoints = Checkpoints(tmp_path / "c")
    assert checkpoints.due(ends_epoch=True)
    assert not checkpoints.due(ends_epoch=False)
    checkpoints._save_seconds = 2.0
    now[0] += 99
    assert not checkpoints.due(ends_epoch=True)
    now[0] += 1
    assert checkpoints.due(ends_epoch=True)
    assert not checkpoints.due(ends_epoch=False)
    now[0] += 200
    assert checkpoints.due(ends_epoch=False)


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
        module.load_state(pickle.dumps(Evil()), tmp_path / "x.pt")
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
            patch.setattr(module.write_atomic.__globals__["os"], "fsync", failing(os.fsync))
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
    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", lambda self, to: (snapshot(), replace(self, to), snapshot())[1])
        patch.setattr(Path, "unlink", lambda self, **kwargs: (snapshot(), unlink(self, **kwargs))[1])
        checkpoints.save(state(2), step=2, tables={})
    assert len(copies) >= 5
    steps = []
    for copy in copies:
        loaded = Checkpoints(copy).load_newest()
        assert loaded is not None
        steps.append(loaded[1].step)
        assert torch.equal(loaded[0]["weights"], state(loaded[1].step)["weights"])
    assert steps == sorted(steps)
    assert (steps[0], steps[-1]) == (1, 2)
