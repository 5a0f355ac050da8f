"""Commands in forked processes, where torch has been imported once: killed, resumed, and compared with a whole run."""

from __future__ import annotations

import contextlib
import csv
import os
import random
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from hpcli import plots
from hpcli.cli import main
from hpcli.plots import train
from hpcli.recording import checkpoints, csv_files

SMALL = ("-q", "--device", "cpu", "--set", "data.train_fraction=0.2", "--set", "data.batch_size=32")
RESNET = ("--set", "model.name=resnet20", "--set", "model.options.num_blocks=[1,1,1]")
NET = ("--set", "model.name=shallow3")


@dataclass(frozen=True)
class Kind:
    """A command that goes on where it was, and how it is started."""

    command: str
    arguments: tuple[str, ...]

    def start(self, path: Path) -> list[str]:
        """The arguments of a new run."""
        return [self.command, *self.arguments, "--out", str(path)]

    def resume(self, path: Path) -> list[str]:
        """The arguments that go on with it."""
        return [self.command, "--resume", str(path), "-q", "--device", "cpu"]

    def go_on(self, path: Path) -> list[str]:
        """Go on, or begin where there is no run yet: it was killed before its folder was there."""
        return self.resume(path) if path.exists() else self.start(path)


def kinds(ends: Sequence[Path]) -> dict[str, Kind]:
    """The commands that resume; `ends` are two runs of the shallow network."""
    one, other = map(str, ends)
    return {
        "train": Kind("train", (*SMALL, *RESNET, "--epochs", "3")),
        "train --init": Kind("train", (*SMALL, *NET, "--epochs", "3", "--init", one, "--set", "optimizer.name=sgd")),
        "sweep": Kind("sweep-wd", (*SMALL, *NET, "--values", "1e-4,1e-2", "--seeds", "2", "--epochs", "2")),
        "tune": Kind("tune", (*SMALL, *NET, "--runs", "9", "--confirm", "1", "--set", "tune.range_test=true", "--set", "tune.epochs=9",
                              "--set", "train.epochs=3")),
        "interpolate": Kind("interpolate", ("-q", "--device", "cpu", "--ckpt-a", one, "--ckpt-b", other,
                                            "--alphas", "0:1:9", "--save-average", "0.5")),
    }  # fmt: skip


def in_child(work: Callable[[], int], said: Path | None = None) -> int:
    """Start `work` in a forked process and return its number; what it says goes to a file."""
    child = os.fork()
    if child:
        return child
    try:
        torch.set_num_threads(1)
        if said is not None:  # pytest has put its own files in place of these
            sys.stdout = sys.stderr = said.open("a", buffering=1)
        code = work()
    except BaseException:
        traceback.print_exc()
        code = 99
    os._exit(code)


def ended(child: int) -> int:
    """Wait for a process; its exit code, negative for a signal."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def is_over_within(seconds: float, child: int) -> bool:
    """Whether a process ends before so much time has passed. It is left to be waited for."""
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        if os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None:
            return True
        time.sleep(min(left, 0.005))
    return False


def command(arguments: Sequence[str], said: Path | None = None, before: Callable[[], object] = lambda: None) -> int:
    """Carry out a command in a process of its own; the exit code. `before` prepares that process."""

    def work() -> int:
        before()
        return main(list(arguments))

    return ended(in_child(work, said))


@contextlib.contextmanager
def eager(seconds: float = 0.0) -> Iterator[None]:
    """While entered, runs save after every step (or so many seconds), draw nothing, and do not wait for the disk.

    Rows are written one by one, so that a kill finds some after the checkpoint; where saves wait, rows wait as they do.
    Pictures are most of a short run's time; and what a process has written outlives its kill.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpoints, "AT_MOST_SECONDS", seconds)
        patch.setattr(checkpoints, "SHARE_OF_TIME", 1e9 if seconds else checkpoints.SHARE_OF_TIME)
        patch.setattr(csv_files, "WAIT_SECONDS", csv_files.WAIT_SECONDS if seconds else 0.0)
        patch.setattr(plots, "figures", lambda *_: {})
        patch.setattr(train, "early_figures", lambda *_: {})
        patch.setattr(os, "fsync", lambda _: None)
        yield


def outcome(path: Path) -> dict[str, object]:
    """All that must be the same: every table, and all weights, by their place in the folder.

    But seconds, and which trials were there already when the last process began.
    """
    tables = {str(file.relative_to(path)): _table(file) for file in sorted(path.rglob("*.csv"))}
    weights = {str(file.relative_to(path)): file.read_bytes() for file in sorted(path.rglob("*.safetensors"))}
    texts = {str(file.relative_to(path)): file.read_bytes() for file in sorted(path.rglob("best.yaml"))}
    return {**tables, **weights, **texts}


def best_of(path: Path) -> object:
    """Which checkpoint is the best."""
    best = checkpoints.Checkpoints(path / "checkpoints").find("best")
    return best and (best.step, best.valid_loss)


def _table(file: Path) -> object:
    with file.open(newline="", errors="replace") as text:  # a damaged one has to be compared, too
        header, *rows = [*csv.reader(text)] or [[]]
    own = [number for number, name in enumerate(header) if name.endswith(("seconds", "reused"))]
    return [[cell for number, cell in enumerate(row) if number not in own] for row in (header, *rows)]


def gone_on(kind: Kind, run: Path, whole: dict[str, object], said: Path) -> str:
    """What is wrong when a run is gone on with after an accident; nothing: an empty text."""
    if run.exists() and not (run / "status.json").exists():
        return "a folder without its status.json"
    code = command(kind.go_on(run), said)
    if code != 0:
        return f"afterwards exit code {code}: {said.read_text()[-500:]}"
    found = outcome(run)
    return "" if found == whole else f"afterwards differs in {differences(whole, found)}"


@dataclass
class Killer:
    """Kills runs of one kind at random moments until they are over, and compares."""

    kind: Kind
    folder: Path
    random: random.Random

    def __post_init__(self) -> None:
        """Run it once, undisturbed."""
        started = time.monotonic()
        assert command(self.kind.start(self.folder / "whole"), self.folder / "said") == 0, self.said()
        self.seconds = time.monotonic() - started
        self.whole, self.best = outcome(self.folder / "whole"), best_of(self.folder / "whole")
        self.runs = 0

    def said(self) -> str:
        """What the last runs printed."""
        return (self.folder / "said").read_text()[-2000:]

    def kill(self, most: int) -> int:
        """One run, killed at most so often. The number of kills.

        Raises:
            AssertionError: the promise was broken.
        """
        self.runs += 1
        path, kills = self.folder / f"killed{self.runs}", 0
        while True:
            arguments = self.kind.go_on(path)
            child = in_child(lambda arguments=arguments: main(arguments), self.folder / "said")  # type: ignore[misc]
            if kills < most and not is_over_within(self.random.uniform(0, self.seconds), child):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(child, signal.SIGKILL)
            code = ended(child)
            if code == 0:
                assert outcome(path) == self.whole, differences(self.whole, outcome(path))
                assert best_of(path) == self.best
                shutil.rmtree(path)
                return kills
            assert code == -signal.SIGKILL, f"exit code {code}: {self.said()}"
            kills += 1


def differences(one: dict[str, object], other: dict[str, object]) -> str:
    """The files in which two outcomes differ."""
    return ", ".join(name for name in sorted(one.keys() | other.keys()) if one.get(name) != other.get(name))
