"""A power cut at any moment: a checkpoint that was acknowledged is still there, and the run goes on to the same end."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from hpcli.cli import main
from hpcli.recording.checkpoints import Checkpoints
from tests.reliability.harness import NET, SMALL, Kind, eager, ended, gone_on, in_child, kinds, outcome
from tests.reliability.power import Disk

NEVER = "-1"


def states_of(kind: Kind, folder: Path, every: int) -> list[Path]:
    """Carry out a run in a process of its own; of the states that power cuts would have left one of so many, in order."""
    (folder / "runs").mkdir()
    (folder / "states").mkdir()

    def work() -> int:
        acknowledged = {"newest": NEVER}
        save = Checkpoints.save

        def noted(self: Checkpoints, *args: object, **more: object) -> None:
            save(self, *args, **more)  # type: ignore[arg-type]
            acknowledged["newest"] = f"{self.folder.relative_to(folder / 'runs')} {more['step']}"

        Checkpoints.save = noted  # type: ignore[method-assign]
        disk = Disk(folder / "runs", folder / "states", lambda: acknowledged["newest"], every)
        code = main(kind.start(folder / "runs/run"))
        disk.count += 1
        disk.put_down()
        return code

    assert ended(in_child(work, folder / "said")) == 0, (folder / "said").read_text()
    return sorted(path for path in (folder / "states").iterdir() if path.is_dir())


def broken(kind: Kind, state: Path, whole: dict[str, object], said: Path) -> str:
    """What is wrong with going on after a power cut; nothing: an empty text."""
    note = state.with_suffix(".note").read_text()
    if note != NEVER:
        where, step = note.split()
        try:
            entries = json.loads((state / where / "index.json").read_text())["entries"]
        except (OSError, ValueError) as error:
            return f"the checkpoint of step {step} is lost: {error}"
        if max((entry["step"] for entry in entries), default=-1) < int(step):
            return f"the checkpoint of step {step} is lost"
    return gone_on(kind, state / "run", whole, said)


def faults(kind: Kind, folder: Path, every: int = 1) -> list[str]:
    """What is wrong after power cuts, at every so many of the states."""
    states = states_of(kind, folder, every)
    whole = outcome(folder / "runs/run")
    found = []
    for state in states:
        wrong = broken(kind, state, whole, folder / "said after")
        found += [f"{state.name}: {wrong}"] if wrong else []
        shutil.rmtree(state)
    return found


@pytest.mark.parametrize("name", ["lr-find", "train", "sweep", "tune", "interpolate"])
def test_what_has_ended_outlives_a_power_cut(ends: list[Path], tmp_path: Path, name: str) -> None:
    """Where checkpoints are far between, too: every table that the run says it has."""
    kind = Kind("lr-find", (*SMALL, *NET)) if name == "lr-find" else kinds(ends)[name]
    with eager(seconds=3600):
        (state,) = states_of(kind, tmp_path, every=10**9)
    assert outcome(state / "run") == outcome(tmp_path / "runs/run")


@pytest.mark.parametrize(
    ("name", "every"), [("train", 9), ("train --init", 9), ("sweep", 24), ("tune", 2200), ("interpolate", 6)]
)
def test_after_a_power_cut_it_goes_on_to_the_same_end(ends: list[Path], tmp_path: Path, name: str, every: int) -> None:
    with eager():
        assert faults(kinds(ends)[name], tmp_path, every) == []


@pytest.mark.torture
@pytest.mark.parametrize(
    ("name", "every"), [("train", 1), ("train --init", 1), ("sweep", 1), ("tune", 40), ("interpolate", 1)]
)
def test_after_every_power_cut(ends: list[Path], tmp_path: Path, name: str, every: int) -> None:
    with eager():
        assert faults(kinds(ends)[name], tmp_path, every) == []


def _is_folder(descriptor: int) -> bool:
    return Path(f"/proc/self/fd/{descriptor}").is_dir()


def _is_table(descriptor: int) -> bool:
    return str(Path(f"/proc/self/fd/{descriptor}").readlink()).endswith(".csv")


@pytest.mark.parametrize(
    "left_out", [_is_folder, _is_table, lambda d: not _is_folder(d) and not _is_table(d)], ids=["folders", "tables", "files"]
)  # fmt: skip
def test_a_sync_that_is_left_out_is_noticed(
    ends: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, left_out: object
) -> None:
    """The mutants: without the sync of folders, of tables or of files the promise is broken, and these tests see it."""
    watched = Disk.fsync

    def mutant(disk: Disk, descriptor: int) -> None:
        if not left_out(descriptor):  # type: ignore[operator]
            watched(disk, descriptor)

    monkeypatch.setattr(Disk, "fsync", mutant)
    with eager():
        assert faults(kinds(ends)["train --init"], tmp_path, every=9) != []
