from __future__ import annotations

import json

import pytest

from hpcli.console import Terminal, sparkline
from hpcli.experiments.store import Progress

METRICS = {
    "epoch": 3, "step": 27, "train_loss": 0.5, "train_eval_loss": 0.4, "valid_loss": 0.6, "valid_accuracy": 0.875,
    "valid_top5": 1.0, "lr": 0.1, "momentum": 0.9, "seconds": 1.25,
}  # fmt: skip


def test_without_a_terminal_an_epoch_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    with Terminal().progress("train") as report:
        report(Progress(27, 40, loss=0.5))
        report(Progress(28, 40, metrics=METRICS))
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err == "epoch 3  train loss 0.5000  valid loss 0.6000  accuracy 87.5%  1.2 s\n"


def test_on_a_terminal_there_is_a_bar(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "150")
    with Terminal().progress("train") as report:
        for step in range(40):
            report(Progress(step + 1, 40, loss=2.0 / (step + 1)))
        report(Progress(40, 40, metrics=METRICS))
    assert "epoch 3" in (printed := capsys.readouterr().err)
    assert "40/40" in printed
    assert "loss" in printed


def test_quiet_is_quiet(capsys: pytest.CaptureFixture[str]) -> None:
    terminal = Terminal(quiet=True)
    with terminal.progress("train") as report:
        report(Progress(28, 40, metrics=METRICS))
    terminal.note("anything")
    terminal.summary({"command": "train", "status": "finished", "run_dir": "x"}, [])
    printed = capsys.readouterr()
    assert printed.out + printed.err == ""


def test_json_is_all_there_is_on_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    summary = {"command": "train", "status": "finished", "run_dir": "[x]", "valid_accuracy": 0.5, "note": None}
    Terminal(as_json=True).summary(summary, ["loss.png"])
    assert json.loads(capsys.readouterr().out) == summary
    Terminal().summary(summary, ["loss.png"])
    printed = capsys.readouterr().out
    assert "50.0%" in printed
    assert "[x]/  loss.png" in printed


@pytest.mark.parametrize(
    ("values", "curve"),
    [([], ""), ([1.0], "▁"), ([3.0, 2.0, 1.0], "█▄▁"), ([1.0, float("nan"), 2.0], "▁×█"), ([float("inf")], "×")],
)
def test_sparkline(values: list[float], curve: str) -> None:
    assert sparkline(values) == curve


def test_a_long_sparkline_is_short() -> None:
    assert len(sparkline([float(n) for n in range(100_000)])) <= 24
