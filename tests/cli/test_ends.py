"""How commands end where files, folders, memory or the user's patience do: one line, and a documented exit code."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from hpcli.cli import main
from hpcli.cli.session import Session
from hpcli.config import Config

SMALL = ["--set=data.train_fraction=0.2", "--set=data.batch_size=32", "--set=model.name=shallow3", "--device=cpu", "-q"]


def ended(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """Exit code and the error, which is one line."""
    code = main(arguments)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    return code, line


@pytest.mark.parametrize(
    ("number", "code"),
    [("ENOENT", 2), ("EEXIST", 2), ("ENOTDIR", 2), ("ENAMETOOLONG", 2), ("EISDIR", 2), ("EFBIG", 7), ("ENOSPC", 7)],
)
def test_an_error_of_a_path_names_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], number: str, code: int
) -> None:
    import errno

    def fail(*_: object) -> None:
        raise OSError(getattr(errno, number), os.strerror(getattr(errno, number)), "some/file")

    monkeypatch.setattr("hpcli.config.load_config", fail)
    found, line = ended(["train", "--dry-run"], capsys)
    assert (found, "some/file: " in line) == (code, True)


@pytest.mark.parametrize(
    "text",
    ["CUDA error: out of memory", "CUDNN_STATUS_ALLOC_FAILED", "CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate"],
)
def test_memory_that_is_used_up_is_said_in_many_ways(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError(text)

    monkeypatch.setattr("hpcli.config.load_config", fail)
    assert ended(["train", "--dry-run"], capsys)[0] == 5


def test_paths_that_cannot_be(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("file").write_text("x")
    Path("config.yaml").write_text("seed: 3\n")
    assert ended(["train", "--resume", "x" * 300], capsys)[0] == 2
    assert ended(["train", "--out", "x" * 300, *SMALL], capsys)[0] == 2
    assert ended(["train", "--out", "file/run", *SMALL], capsys)[0] == 2
    assert ended(["train", "--resume", "file"], capsys)[0] == 2
    code, line = ended(["train", "--resume", "."], capsys)
    assert (code, "not a run folder" in line) == (2, True)
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == ["config.yaml", "file"]


def test_a_deleted_working_directory_is_said(tmp_path: Path) -> None:
    script = f"mkdir gone && cd gone && rmdir ../gone && exec {sys.executable} -m hpcli train --device cpu"
    where = str(Path(__file__).resolve().parents[2])
    done = subprocess.run(
        ["bash", "-c", script], cwd=tmp_path, env=os.environ | {"PYTHONPATH": where}, capture_output=True, text=True
    )
    assert (done.returncode, "Traceback" in done.stderr) == (2, False), done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("seconds", [0.0, 0.05, 0.1, 0.15])
def test_a_ctrl_c_before_anything_has_begun_is_exit_130(seconds: float) -> None:
    """The process is stopped while it imports, where other libraries make other errors of it."""
    code = (
        "import os, sys\n"
        "from hpcli.cli import main\n"
        "os.write(1, b'.')\n"
        "sys.exit(main(['train', '--epochs=500', '--device=cpu', '-q']))\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.read(1)
        time.sleep(0.02 + seconds)
        process.send_signal(signal.SIGINT)
        said = process.stderr.read().decode()
        assert process.wait() == 130
    assert "Traceback" not in said


def test_a_ctrl_c_that_a_library_swallows_stops_the_run_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    pinned = Session._pinned

    def interrupted(self: Session, *given: Any) -> Config:
        with contextlib.suppress(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        return pinned(self, *given)

    monkeypatch.setattr(Session, "_pinned", interrupted)
    assert main(["train", "--epochs=1", *SMALL]) == 130


@pytest.mark.filterwarnings("ignore::hpcli.errors.HpcliWarning")
def test_a_diverged_run_that_is_resumed_ends_as_it_did(capsys: pytest.CaptureFixture[str]) -> None:
    keys = ["--set=optimizer.name=sgd", "--set=schedule.name=constant", "--momentum=0.9", "--max-lr=1e9"]
    assert main(["train", "--epochs=1", "--out=d", *SMALL, *keys]) == 6
    assert main(["train", "--resume=d", "-q"]) == 6


def test_what_works_is_said_where_resuming_does_not(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lr-find", "--steps=25", "--seeds=1", "--out=f", *SMALL]) == 0
    code, line = ended(["train", "--resume", "f"], capsys)
    assert (code, line) == (2, "error: f: a run of lr-find, not of train; hpcli lr-find -c f/config.yaml runs it again")
    assert main(["train", "--epochs=1", "--out=t", *SMALL]) == 0
    code, line = ended(["train", "--resume", "t", "--epochs", "3"], capsys)
    assert code == 4
    assert "hpcli train -c t/config.yaml --epochs 3 trains a new run" in line
    assert "--init t:last goes on from its weights" in line
    assert (
        main(["train", "-c", "t/config.yaml", "--epochs=2", "--init=t:last", "--out=more", "--device=cpu", "-q"]) == 0
    )


def test_weights_that_are_no_file_or_of_unknown_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    os.mkfifo("pipe.pt")
    code, line = ended(["train", "--init", "pipe.pt", *SMALL], capsys)
    assert (code, "pipe.pt: not a file" in line) == (4, True)
    for kind in ("F4", "F6_E2M3", "F8_E8M0", "X9"):
        header = json.dumps({"w": {"dtype": kind, "shape": [8], "data_offsets": [0, 8]}}).encode()
        Path("w.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + bytes(8))
        code, line = ended(["train", "--init", "w.safetensors", *SMALL], capsys)
        assert (code, "w.safetensors: " in line) == (4, True)


def test_the_exported_weights_of_a_run_are_compared(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--epochs=1", "--out=t", *SMALL]) == 0
    data = bytearray(Path("t/model.safetensors").read_bytes())
    data[-1] ^= 1
    Path("t/model.safetensors").write_bytes(data)
    code, line = ended(["train", "--init", "t/model.safetensors", *SMALL], capsys)
    assert (code, "t/model.safetensors: changed since the run ended" in line) == (4, True)


def test_no_escape_sequence_reaches_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    hostile = "\x1b]0;owned\x07\x1b[2J\x9b31m"
    for arguments in (
        ["train", "--set", f"{hostile}=1"],
        ["train", "--set", f"model.name={hostile}"],
        ["train", "-c", f"{hostile}.yaml"],
        ["train", "--resume", hostile],
        [hostile],
        ["train", "--dry-run", "--set", f"data.root={hostile}"],
    ):
        main(arguments)
        printed = capsys.readouterr()
        assert not {"\x1b", "\x07", "\x9b"} & set(printed.out + printed.err), arguments
