"""A signal in any phase of a run: the step is finished, a checkpoint written, the exit code the signal's; then it goes on."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hpcli import plots
from hpcli.cli import main
from hpcli.recording.checkpoints import Checkpoints
from hpcli.recording.disk import DiskRecorder
from hpcli.training.step import Step
from hpcli.training.trainer import Trainer
from tests.reliability.harness import NET, SMALL, Kind, command, differences, eager, ended, in_child, outcome

TRAIN = Kind("train", (*SMALL, *NET, "--epochs", "3"))
LAST = 21
PHASES: dict[str, tuple[object, str, int]] = {
    "first step": (Step, "descend", 1),
    "in a step": (Step, "descend", 10),
    "last step": (Step, "descend", LAST),
    "evaluation": (Trainer, "evaluate", 3),
    "checkpoint": (Checkpoints, "save", 5),
    "weights": (DiskRecorder, "keep_weights", 1),
    "pictures": (plots, "figures", 1),
}
"""What is called, and at which of its calls the signal comes."""


def sends(number: signal.Signals, phase: str) -> None:
    """Let the signal come in this process at that moment."""
    owner, name, call = PHASES[phase]
    real: Callable[..., Any] = getattr(owner, name)
    calls = [0]

    def called(*args: object, **more: object) -> object:
        calls[0] += 1
        if calls[0] == call:
            os.kill(os.getpid(), number)
        return real(*args, **more)

    setattr(owner, name, called)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    path = tmp_path_factory.mktemp("whole") / "run"
    with eager():
        assert command(TRAIN.start(path)) == 0
    return outcome(path)


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGUSR1], ids=lambda each: each.name)
def test_a_signal_in_any_phase(whole: dict[str, object], tmp_path: Path, number: signal.Signals, phase: str) -> None:
    path = tmp_path / "run"

    def work() -> int:
        sends(number, phase)
        return main(TRAIN.start(path))

    with eager():
        code = ended(in_child(work, tmp_path / "said"))
        over = phase in ("last step", "weights", "pictures")
        assert code == (0 if over else 128 + number), (tmp_path / "said").read_text()
        status = json.loads((path / "status.json").read_text())
        assert (status["status"], status["exit_code"]) == ("finished" if over else "interrupted", code)
        if not over:
            newest = json.loads((path / "checkpoints/index.json").read_text())["entries"][-1]["step"]
            assert newest == status["step"] == len((path / "steps.csv").read_text().splitlines()) - 2
        assert command(TRAIN.resume(path), tmp_path / "said") == 0
        assert outcome(path) == whole, differences(whole, outcome(path))
