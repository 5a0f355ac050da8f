"""Workers that are killed, stopped, join late; a driver that is: the table is that of one process, each trial trained once."""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from hpcli.cli import main
from hpcli.recording.child import ChildFolder
from hpcli.states import RunStatus
from hpcli.trials import shared, shared_worker
from tests.reliability.harness import NET, RESNET, SMALL, Kind, command, differences, eager, ended, in_child, outcome

ONE_THREAD = ("--set", "train.threads=1", "--set", "sweep.parallel=1")
SWEEP = Kind("sweep-wd", (*SMALL, *NET, *ONE_THREAD, "--values", "1e-4,1e-2,1", "--seeds", "2", "--epochs", "3"))
FAILING = Kind(
    "sweep",
    (
        *SMALL,
        *RESNET,
        *ONE_THREAD,
        "model.options.num_blocks",
        "--values",
        "[1,1,1],[0,0],[0]",
        "--seeds",
        "1",
        "--epochs",
        "1",
    ),
)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, ends: list[Path]) -> Iterator[None]:
    """Looks follow closely; who brings a trial to its end says so in a file. `ends` has imported everything."""
    monkeypatch.setattr(shared, "POLL_SECONDS", 0.02)
    monkeypatch.setattr(shared, "IDLE_SECONDS", 2.0)
    monkeypatch.setattr(shared_worker, "POLL_SECONDS", 0.02)
    monkeypatch.setattr(shared_worker, "LINGER_SECONDS", 2.0)
    finish, record = ChildFolder.finish, ChildFolder._record

    def finished(self: ChildFolder, status: RunStatus, summary: Mapping[str, object]) -> dict[str, object]:
        full = finish(self, status, summary)
        if status.is_over:
            note(self)
        return full

    def recorded(self: ChildFolder, error: BaseException) -> None:
        record(self, error)
        note(self)

    def note(of: ChildFolder) -> None:
        with (tmp_path / "ended").open("a") as file:
            file.write(f"{of.path.name} {os.getpid()}\n")

    monkeypatch.setattr(ChildFolder, "finish", finished)
    monkeypatch.setattr(ChildFolder, "_record", recorded)
    with eager():
        yield


@dataclass
class Team:
    """A driver that starts nobody, and workers, each a process."""

    folder: Path
    kind: Kind = SWEEP
    driver: int | None = None
    workers: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Nobody has been there."""
        self.path = self.folder / "shared"
        (self.folder / "ended").unlink(missing_ok=True)

    def drive(self, *more: str) -> None:
        """Start the driver, or go on, and wait until it has laid something out."""
        new = not self.path.exists()
        arguments = [*self.kind.start(self.path), "--workers", "0"] if new else [*self.kind.resume(self.path), *more]
        self.driver = in_child(lambda: main(arguments), self.folder / "said")
        self.until(lambda: any(self.path.glob("trials/*/config.yaml")) or not alive(self.driver))

    def join(self) -> int:
        """Start a worker."""
        arguments = ["sweep", "--resume", str(self.path), "--worker", "-q", "--device", "cpu"]
        self.workers.append(in_child(lambda: main(arguments), self.folder / "said"))
        return self.workers[-1]

    def leave(self, worker: int, number: signal.Signals) -> int:
        """Kill a worker, or tell it to stop; its exit code."""
        self.workers.remove(worker)
        os.kill(worker, number)
        return ended(worker)

    def until(self, holds: Callable[[], bool], seconds: float = 60) -> None:
        """Wait for something."""
        started = time.monotonic()
        while not holds():
            time.sleep(0.005)
            assert time.monotonic() - started < seconds, self.said()

    def laid_out(self, count: int) -> None:
        """Wait until so many trials lie there."""
        self.until(lambda: len([*self.path.glob("trials/*/config.yaml")]) == count)

    def end(self) -> int:
        """The driver's exit code; the workers go home when it is gone."""
        assert self.driver is not None
        code = ended(self.driver)
        while self.workers:
            assert ended(self.workers.pop()) == 0, self.said()
        return code

    def said(self) -> str:
        """What they printed."""
        return (self.folder / "said").read_text()[-3000:] if (self.folder / "said").exists() else ""

    def times_ended(self) -> Counter[str]:
        """How often each trial was brought to its end."""
        return Counter(line.split()[0] for line in (self.folder / "ended").read_text().splitlines())

    def check(self, whole: dict[str, object]) -> None:
        """It is the table of one process, and no trial was trained twice to its end."""
        assert outcome(self.path) == whole, differences(whole, outcome(self.path))
        again = {key: count for key, count in self.times_ended().items() if count > 1}
        assert not again, again


def alive(process: int | None) -> bool:
    """Whether a child goes on; one that has ended stays to be waited for."""
    assert process is not None
    return os.waitid(os.P_PID, process, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None


@pytest.fixture(scope="module")
def whole(ends: list[Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """What a sweep comes to that one process trains."""
    folder = tmp_path_factory.mktemp("whole")
    with eager():
        assert command(SWEEP.start(folder / "whole"), folder / "said") == 0
    return outcome(folder / "whole")


def test_workers_make_the_table_of_one_process(whole: dict[str, object], tmp_path: Path) -> None:
    team = Team(tmp_path)
    team.drive()
    team.join()
    team.until(lambda: (tmp_path / "ended").exists())
    team.join()  # late
    assert team.end() == 0
    team.check(whole)
    assert len({line.split()[1] for line in (tmp_path / "ended").read_text().splitlines()}) == 2  # both had some
    assert set(team.times_ended().values()) == {1}
    rows = (team.path / "sweep.csv").read_text().splitlines()
    assert all(row.endswith(",0") for row in rows[1:])  # none was there before


def kills(team: Team, draw: random.Random, workers: int, most: int) -> int:
    """Kill random workers at random moments, another one joining each time, until the driver has its table."""
    for _ in range(workers):
        team.join()
    done = 0
    while alive(team.driver):
        time.sleep(draw.uniform(0, 0.6))
        if done < most and alive(team.driver):
            done += team.leave(draw.choice(team.workers), signal.SIGKILL) == -signal.SIGKILL
            team.join()
    assert team.end() == 0, team.said()
    return done


def many_kills(whole: dict[str, object], folder: Path, workers: int, count: int) -> None:
    draw, done = random.Random(workers), 0
    while done < count:
        team = Team(folder)
        team.drive()
        done += kills(team, draw, workers, most=15)
        team.check(whole)
        shutil.rmtree(team.path)


def test_kills(whole: dict[str, object], tmp_path: Path) -> None:
    many_kills(whole, tmp_path, workers=2, count=12)


@pytest.mark.torture
@pytest.mark.parametrize("workers", [2, 4])
def test_a_hundred_kills(whole: dict[str, object], tmp_path: Path, workers: int) -> None:
    many_kills(whole, tmp_path, workers, count=100)


def test_a_driver_that_is_killed_is_gone_on_with_while_workers_train(whole: dict[str, object], tmp_path: Path) -> None:
    team, draw = Team(tmp_path), random.Random(3)
    team.drive()
    team.join()
    team.join()
    for _ in range(4):
        time.sleep(draw.uniform(0, 0.7))
        assert team.driver is not None
        os.kill(team.driver, signal.SIGKILL)
        ended(team.driver)
        team.drive()
    assert team.end() == 0, team.said()
    team.check(whole)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1])
def test_one_that_is_told_to_leave_saves_and_another_goes_on(
    whole: dict[str, object], tmp_path: Path, number: signal.Signals
) -> None:
    team = Team(tmp_path)
    team.drive()
    worker = team.join()
    team.until(lambda: any(team.path.glob("trials/*/checkpoints/*.pt")))
    assert team.leave(worker, number) == 128 + number
    standings = [json.loads(file.read_text()) for file in team.path.glob("trials/*/status.json")]
    (left,) = (each for each in standings if each["status"] == RunStatus.INTERRUPTED)
    assert left["saved"] is not None
    team.join()
    assert team.end() == 0
    team.check(whole)


def test_a_stopped_driver_leaves_workers_to_finish_and_goes_on(whole: dict[str, object], tmp_path: Path) -> None:
    team = Team(tmp_path)
    team.drive()
    team.laid_out(6)
    team.join()
    assert team.driver is not None
    os.kill(team.driver, signal.SIGTERM)
    assert team.end() == 128 + signal.SIGTERM  # and the worker has ended by itself
    assert len(team.times_ended()) == 6
    team.drive()
    assert team.end() == 0
    team.check(whole)


def test_a_trial_that_fails_is_tried_once_and_again_when_the_driver_goes_on(tmp_path: Path) -> None:
    team = Team(tmp_path, FAILING)
    for times in (1, 2):
        team.drive()
        team.join()
        team.join()
        assert team.end() == 9, team.said()
        counts = team.times_ended()
        assert len(counts) == 3
        failed = [key for key in counts if (team.path / "trials" / key / "error.log").exists()]
        assert len(failed) == 2
        assert {counts[key] for key in failed} == {times}
        assert sum(counts.values()) == 1 + 2 * times
        assert all("num_blocks" in (team.path / "trials" / key / "error.log").read_text() for key in failed)


def swap(one: Path, other: Path) -> None:
    with contextlib.suppress(FileNotFoundError):  # the driver has seen the first one, and is mending it
        for name in ("status.json", "config.yaml"):
            shutil.copy(other / name, one / name)


DAMAGES: dict[str, Callable[[Path, Path], Any]] = {
    "no folder": lambda one, other: one.rename(other.with_name("taken away")),  # at once: the driver mends half of one
    "status": lambda one, _: (one / "status.json").write_text("{"),
    "no status": lambda one, _: (one / "status.json").unlink(),
    "config": lambda one, _: (one / "config.yaml").write_text("data: {batch_size: 7}"),
    "no config": lambda one, _: (one / "config.yaml").unlink(),
    "another trial": swap,
}


def test_what_is_damaged_while_it_lies_there_is_laid_out_anew(whole: dict[str, object], tmp_path: Path) -> None:
    team = Team(tmp_path)
    team.drive()
    team.laid_out(6)
    time.sleep(0.2)
    trials = sorted(team.path.glob("trials/*"))
    sound = [Path(shutil.copytree(each, tmp_path / "sound" / each.name)) for each in trials]  # the driver mends its own
    for damage, one in zip(DAMAGES.values(), trials, strict=True):
        damage(one, next(each for each in sound if each.name != one.name))
    team.join()
    assert team.end() == 0, team.said()
    team.check(whole)
