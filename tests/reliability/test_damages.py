"""Every file of a run folder, damaged at random: healed, or refused in one line that names it; never another result."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest

from hpcli.cli import main
from hpcli.recording.checkpoints import Checkpoints
from tests.reliability.harness import Kind, command, differences, eager, ended, in_child, kinds, outcome

PICTURES = (".png", ".svg")
STOPPED = 130


def damaged(data: bytes, chance: random.Random) -> bytes:
    """Cut, a bit flipped, a sector of zeros or of junk, something appended, or nothing left."""
    at = chance.randrange(max(len(data), 1))
    how = chance.choice(["cut", "bit", "zeros", "junk", "more", "empty"])
    if how == "cut":
        return data[:at]
    if how == "bit" and data:
        return data[:at] + bytes([data[at] ^ (1 << chance.randrange(8))]) + data[at + 1 :]
    if how in ("zeros", "junk"):
        size = min(512, len(data) - at)
        return data[:at] + (bytes(size) if how == "zeros" else chance.randbytes(size)) + data[at + size :]
    return data + chance.randbytes(1 + chance.randrange(40)) if how == "more" else b""


def stopped(kind: Kind, path: Path, saves: int) -> None:
    """A run that was interrupted at one of its checkpoints, or after some rows where it has none."""

    def work() -> int:
        calls, save = [0], Checkpoints.save

        def counted(self: Checkpoints, *args: object, **more: object) -> None:
            save(self, *args, **more)  # type: ignore[arg-type]
            calls[0] += 1
            if calls[0] == saves:
                raise KeyboardInterrupt

        Checkpoints.save = counted  # type: ignore[method-assign]
        return main(kind.start(path))

    assert ended(in_child(work, path.with_name("said"))) == STOPPED


def faults(kind: Kind, run: Path, whole: dict[str, object], folder: Path, times: int, every: int) -> list[str]:
    """What is wrong after so many damages of every so many of the files of a run."""
    found = []
    files = [each for each in sorted(run.rglob("*")) if each.is_file() and each.suffix not in PICTURES]
    for file in files[::every]:
        name = file.relative_to(run)
        for number in range(times):
            path, said = folder / "damaged", folder / "said after"
            shutil.copytree(run, path)
            before = (path / name).read_bytes()
            (path / name).write_bytes(damaged(before, random.Random(f"{name} {number}")))
            if (path / name).read_bytes() != before:
                said.write_text("")
                wrong = _judged(command(kind.resume(path), said), path, said, whole)
                found += [f"{name}, {number}: {wrong}"] if wrong else []
            shutil.rmtree(path)
    return found


def _judged(code: int, path: Path, said: Path, whole: dict[str, object]) -> str:
    lines = said.read_text().splitlines()
    if code == 0:
        return "" if outcome(path) == whole else f"not noticed: differs in {differences(whole, outcome(path))}"
    errors = [line for line in lines if line.startswith("error:")]
    return "" if code in (2, 3, 4) and len(errors) == 1 else f"exit code {code}: {lines[-3:]}"


def check(kind: Kind, folder: Path, times: int, every: int = 1) -> list[str]:
    """Damages to a run that is over, and to one that was interrupted."""
    assert command(kind.start(folder / "whole"), folder / "said") == 0
    whole = outcome(folder / "whole")
    found = faults(kind, folder / "whole", whole, folder, times, every)
    if kind.command != "interpolate":
        stopped(kind, folder / "stopped", saves=6)
        found += faults(kind, folder / "stopped", whole, folder, times, every)
    return found


@pytest.mark.parametrize(("name", "every"), [("train --init", 1), ("sweep", 3), ("interpolate", 1)])
def test_a_damaged_file_is_healed_or_refused(ends: list[Path], tmp_path: Path, name: str, every: int) -> None:
    with eager():
        assert check(kinds(ends)[name], tmp_path, 1, every) == []


@pytest.mark.torture
@pytest.mark.parametrize(("name", "times"), [("train --init", 100), ("sweep", 100), ("interpolate", 100), ("tune", 5)])
def test_many_damages_of_every_file(ends: list[Path], tmp_path: Path, name: str, times: int) -> None:
    with eager():
        assert check(kinds(ends)[name], tmp_path, times) == []
