"""A signal in any phase of a run: the step is finished, a checkpoint written, the exit code the signal's; then it goes on."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from hpcli import plots
from hpcli.cli import main
from hpcli.data import decode, decode_cache
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


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("images")
    pixels = np.random.default_rng(0).integers(0, 256, (1500, 8, 8, 3), np.uint8)
    for number, each in enumerate(pixels):
        place = folder / "train" / "ab"[number % 2] / f"{number}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(each).save(place)
    return folder


@pytest.mark.parametrize("phase", ["_header", "decode"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda each: each.name)
def test_decoding_is_left_as_soon_as_a_signal_comes(
    images: Path, tmp_path: Path, number: signal.Signals, phase: str
) -> None:
    """Of a large folder it would take hours. The run goes on later."""
    path, said, calls = tmp_path / "run", tmp_path / "said", tmp_path / "calls"
    start = ["train", "--device=cpu", *of(images, tmp_path), "--epochs=1", f"--out={path}"]
    assert command(start, said, at_call(300, number, phase, calls)) == 128 + number
    assert "stopped; go on: hpcli train --resume" in said.read_text()
    assert 300 <= int(calls.read_text()) < 600
    status = json.loads((path / "status.json").read_text())
    assert (status["status"], status["exit_code"]) == ("interrupted", 128 + number)
    assert not list((tmp_path / "cache").rglob("*"))
    assert command(["train", "-q", "--device=cpu", f"--resume={path}"], said) == 0


def test_a_worker_leaves_its_decoding_too(images: Path, tmp_path: Path) -> None:
    path, said = tmp_path / "run", tmp_path / "said"
    start = ["sweep-wd", "--values=0,1", "--workers=0", *of(images, tmp_path), f"--out={path}"]
    stop = at_call(300, signal.SIGTERM, "decode", tmp_path / "calls")
    assert command(start, tmp_path / "drove", stop) == 143
    assert "stopped; go on: hpcli sweep-wd --resume" in (tmp_path / "drove").read_text()
    assert command(["sweep", f"--resume={path}", "--worker"], said, stop) == 143
    assert "stopped; this worker's trials: none. Any worker goes on: hpcli sweep --resume" in said.read_text()
    assert int((tmp_path / "calls").read_text()) < 600


def of(images: Path, folder: Path) -> list[str]:
    """Keys of a small training of these images, decoded to a cache in that folder."""
    keys = {"data.name": "folder", "data.root": images, "data.cache_dir": folder / "cache", "model.name": "shallow3"}
    return [f"--set={key}={value}" for key, value in keys.items()]


def at_call(count: int, number: signal.Signals, phase: str, calls: Path) -> Callable[[], None]:
    """Let a signal come at such a call of a function that reads files; how many there are goes to a file."""
    module = decode if phase == "_header" else decode_cache

    def before() -> None:
        real, made = getattr(module, phase), [0]

        def called(*arguments: object) -> object:
            made[0] += 1
            if made[0] == count:
                os.kill(os.getpid(), number)
            calls.write_text(str(made[0]))
            return real(*arguments)

        setattr(module, phase, called)

    return before
