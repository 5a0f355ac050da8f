"""The n-th operation on the disk fails: exit code 7 and one line, or it did not matter; and afterwards the run goes on."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from hpcli.cli import main
from tests.reliability.faulty import FaultyDisk
from tests.reliability.harness import Kind, command, eager, ended, gone_on, in_child, kinds, outcome

OVER = 50
"""Exit code of these tests' own: the run ended before its n-th operation."""


def first_broken(kind: Kind, folder: Path, numbers: range) -> list[str]:
    """What is wrong where the n-th operation fails, for each of the numbers."""
    assert command(kind.start(folder / "whole"), folder / "said") == 0
    whole, found = outcome(folder / "whole"), []
    for number in numbers:
        said, root = folder / f"said{number}", folder / f"n{number}"
        root.mkdir()

        def work(number: int = number, root: Path = root) -> int:
            disk = FaultyDisk(root, number)
            code = main(kind.start(root / "run"))
            (folder / "failed").write_text(disk.failed)
            return code if disk.failed else OVER

        code = ended(in_child(work, said))
        if code == OVER:
            break
        what, lines = (folder / "failed").read_text(), said.read_text().splitlines()
        wrong = _judged(kind, root / "run", code, lines, whole, folder / "said after")
        found += [f"{number}, {what}: {wrong}"] if wrong else []
        shutil.rmtree(root)
    return found


def _judged(kind: Kind, run: Path, code: int, lines: list[str], whole: dict[str, object], said: Path) -> str:
    if code not in (0, 7):
        return f"exit code {code}: {lines[-3:]}"
    if code == 7 and sum(line.startswith("error:") for line in lines) != 1:
        return f"said {lines[-3:]}"
    return gone_on(kind, run, whole, said)


@pytest.mark.parametrize("name", ["train", "train --init", "sweep", "interpolate"])
def test_any_of_the_first_operations_may_fail(ends: list[Path], tmp_path: Path, name: str) -> None:
    with eager():
        assert first_broken(kinds(ends)[name], tmp_path, range(1, 151, 15)) == []


@pytest.mark.torture
@pytest.mark.parametrize("name", ["train", "train --init", "sweep", "interpolate"])
def test_any_of_the_operations_may_fail(ends: list[Path], tmp_path: Path, name: str) -> None:
    with eager():
        assert first_broken(kinds(ends)[name], tmp_path, range(1, 1001)) == []
