from __future__ import annotations

import json
import time
import warnings

import pytest

from hpcli.cli.terminal import STOPPING, Terminal, error_line, show_warnings
from hpcli.errors import HpcliWarning
from hpcli.recording.progress import Progress
from hpcli.results.train import Epoch
from hpcli.states import RunStatus

EPOCH = Epoch(
    epoch=3, step=27, train_loss=0.5, train_eval_loss=0.4, valid_loss=0.6, valid_accuracy=0.875, valid_top5=1.0,
    lr=0.1, momentum=0.9, seconds=1.25,
)  # fmt: skip


def test_without_a_terminal_an_epoch_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    with Terminal().progress("train") as report:
        report(Progress(27, 40, loss=0.5))
        report(Progress(28, 40, epoch=EPOCH))
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err == "epoch 3  train loss 0.5000  valid loss 0.6000  accuracy 87.5%  1.2 s\n"


def test_what_an_experiment_says_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    with Terminal().progress("sweep") as report:
        report(Progress(1, 40, line="[1e-4], seed 0: valid loss 0.6000"))
    assert capsys.readouterr().err == "[1e-4], seed 0: valid loss 0.6000\n"


def test_on_a_terminal_there_is_a_bar(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR")
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "150")
    with Terminal().progress("train") as report:
        for step in range(40):
            report(Progress(step + 1, 40, loss=2.0 / (step + 1)))
        report(Progress(40, 40, epoch=EPOCH, line="and a word"))
    assert "epoch 3" in (printed := capsys.readouterr().err)
    assert "and a word" in printed
    assert "40/40" in printed
    assert "loss" in printed


def test_a_run_that_was_asked_to_stop_says_so_at_once(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a report: a step can take a minute, where its network is compiled."""
    monkeypatch.delenv("NO_COLOR")
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "100")
    asked: list[int] = []
    with Terminal().progress("train", lambda: bool(asked)) as report:
        report(Progress(1, 40, loss=2.0))
        time.sleep(0.3)
        assert STOPPING not in capsys.readouterr().err
        asked.append(1)
        time.sleep(0.3)
        assert STOPPING in capsys.readouterr().err


def test_quiet_is_quiet(capsys: pytest.CaptureFixture[str]) -> None:
    terminal = Terminal(quiet=True)
    with terminal.progress("train") as report:
        report(Progress(28, 40, epoch=EPOCH))
    with terminal.decoding() as on_decode:
        on_decode(1, 2)
    terminal.note("anything")
    terminal.summary({"command": "train", "status": RunStatus.FINISHED, "run_dir": "x"}, [])
    printed = capsys.readouterr()
    assert printed.out + printed.err == ""


def test_json_is_all_there_is_on_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    summary = {
        "command": "train", "status": RunStatus.FINISHED, "run_dir": "[x]", "valid_accuracy": 0.5, "note": None,
        "sentence": "A sentence.",
    }  # fmt: skip
    Terminal(as_json=True).summary(summary, ["loss.png"])
    assert json.loads(capsys.readouterr().out) == summary
    Terminal().summary(summary, ["loss.png"])
    assert capsys.readouterr().out.splitlines() == ["A sentence.", "[x]/  loss.png"]  # the answer, and no more


def test_every_number_is_shown_on_request_and_where_there_is_no_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    summary = {"command": "train", "status": RunStatus.FINISHED, "run_dir": "x", "valid_accuracy": 0.5}
    Terminal().summary(summary, [])
    title, fact, files = capsys.readouterr().out.splitlines()
    assert (title.strip(), fact.split(), files.strip()) == ("train: finished", ["valid", "accuracy", "50.0%"], "x/")
    Terminal(verbose=True).summary({**summary, "sentence": "A sentence."}, [])
    assert [line.strip() for line in capsys.readouterr().out.splitlines()[:2]] == ["A sentence.", "train: finished"]


def test_what_is_compared_is_shown_under_the_answer(capsys: pytest.CaptureFixture[str]) -> None:
    compared = {"values": [{"value": "a", "loss": 1.0}, {"value": "b", "loss": 2.0}], "noise_sd": 0.1}
    about = {"command": "sweep", "status": RunStatus.FINISHED, "run_dir": "x", "sentence": "Use a."}
    Terminal().summary({**about, **compared}, [])
    printed = capsys.readouterr().out
    assert printed.startswith("Use a.\n")
    assert "loss" in printed
    assert "noise" not in printed


def test_a_table_is_in_two_columns_or_json(capsys: pytest.CaptureFixture[str]) -> None:
    Terminal().table("train would run", {"valid_accuracy": 0.5, "note": None})
    printed = capsys.readouterr()
    assert [line.split() for line in printed.out.splitlines()[1:]] == [["valid", "accuracy", "50.0%"], ["note", "-"]]
    assert printed.err == ""
    Terminal(as_json=True).table("train would run", {"valid_accuracy": 0.5})
    assert json.loads(capsys.readouterr().out) == {"valid_accuracy": 0.5}


def test_faults_are_a_line_each(capsys: pytest.CaptureFixture[str]) -> None:
    error_line("a: [one]\nb: two")
    assert capsys.readouterr().err == "error: a: [one]\nerror: b: two\n"


def test_hpclis_warnings_are_a_line_and_others_stay_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    with warnings.catch_warnings(record=True) as others:
        warnings.simplefilter("always")
        show_warnings()
        warnings.warn("momentum is low", HpcliWarning, stacklevel=1)
        warnings.warn("of another library", UserWarning, stacklevel=1)
    assert capsys.readouterr().err == "warning: momentum is low\n"
    assert [str(each.message) for each in others] == ["of another library"]


@pytest.mark.parametrize("width", [40, 60])
def test_a_narrow_terminal_keeps_the_numbers(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    monkeypatch.delenv("NO_COLOR")
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", str(width))
    with Terminal().progress("lr-find") as report:
        for step in range(40):
            report(Progress(step + 1, 210, loss=2.0 / (step + 1)))
    with Terminal().decoding() as on_decode:
        on_decode(500, 1000)
    printed = capsys.readouterr().err
    for word in ("40/210", "loss 0.050", "eta 0:0", "500/1000", "images/s"):
        assert word in printed
