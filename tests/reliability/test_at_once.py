"""Eight processes at once: that start runs, that want the same folder, that go on with the same run."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hpcli.cli import main
from hpcli.training.step import Step
from tests.reliability.harness import NET, SMALL, Kind, command, differences, eager, ended, in_child, outcome
from tests.reliability.test_damages import stopped

TRAIN = Kind("train", (*SMALL, *NET, "--epochs", "1"))
EIGHT = 8
IN_USE = 8


def at_once(work: Callable[[], int], said: Path) -> Counter[int]:
    """Exit codes of eight processes that begin at the same moment, and how often each."""
    waits, starts = os.pipe()

    def begin() -> int:
        os.close(starts)
        os.read(waits, 1)  # ends when nobody can write any more
        return work()

    children = [in_child(begin, said.with_name(f"{said.name} {number}")) for number in range(EIGHT)]
    os.close(waits)
    os.close(starts)
    return Counter(ended(child) for child in children)


def slow() -> None:
    """Let the first step in this process take longer than the others need to look."""
    real: Callable[..., Any] = Step.descend
    waited: list[bool] = []

    def descend(*args: object, **more: object) -> object:
        if not waited:
            waited.append(True)
            time.sleep(3)
        return real(*args, **more)

    Step.descend = descend  # type: ignore[method-assign,assignment]


@pytest.fixture
def whole(tmp_path: Path, ends: list[Path]) -> dict[str, object]:
    """What a run comes to; `ends` has imported everything."""
    with eager():
        assert command(TRAIN.start(tmp_path / "whole")) == 0
    return outcome(tmp_path / "whole")


def start(folder: Path, whole: dict[str, object]) -> None:
    """Each makes a folder of its own, and the same numbers."""

    def work() -> int:
        os.chdir(folder)
        return main(["train", *TRAIN.arguments])

    with eager():
        assert at_once(work, folder / "said") == {0: EIGHT}
    runs = sorted(each for each in (folder / "runs").iterdir() if not each.is_symlink())
    assert len(runs) == EIGHT
    for run in runs:
        check(run, whole)


def go_on(folder: Path, whole: dict[str, object]) -> None:
    """One goes on, the others are told so."""
    with eager():
        stopped(TRAIN, folder / "run", saves=3)
        assert contended(TRAIN.resume(folder / "run"), folder / "said") == {0: 1, IN_USE: EIGHT - 1}
    check(folder / "run", whole)


def same(folder: Path, whole: dict[str, object]) -> None:
    """One gets the folder, the others are told so, and nothing of it is lost."""
    with eager():
        codes = contended(TRAIN.start(folder / "run"), folder / "said")
    assert codes[0] == 1
    assert codes[0] + codes[2] + codes[IN_USE] == EIGHT
    check(folder / "run", whole)


def contended(arguments: list[str], said: Path) -> Counter[int]:
    """Exit codes of eight of the same command, the one that gets through taking its time."""

    def work() -> int:
        slow()
        return main(arguments)

    return at_once(work, said)


def check(run: Path, whole: dict[str, object]) -> None:
    """It is as if nobody else had been there."""
    assert outcome(run) == whole, differences(whole, outcome(run))


@pytest.mark.parametrize("way", [start, go_on, same], ids=lambda way: way.__name__)
def test_eight_at_once(
    tmp_path: Path, whole: dict[str, object], way: Callable[[Path, dict[str, object]], None]
) -> None:
    (tmp_path / "eight").mkdir()
    way(tmp_path / "eight", whole)


@pytest.mark.torture
@pytest.mark.parametrize("way", [start, go_on, same], ids=lambda way: way.__name__)
def test_thirty_times(tmp_path: Path, whole: dict[str, object], way: Callable[[Path, dict[str, object]], None]) -> None:
    for number in range(30):
        (tmp_path / str(number)).mkdir()
        way(tmp_path / str(number), whole)
