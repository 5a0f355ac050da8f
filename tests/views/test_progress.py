from __future__ import annotations

import io
import sys
from types import SimpleNamespace

import pytest

import hpcli
from hpcli.config import Config, with_overrides
from hpcli.recording.progress import Progress
from hpcli.views.progress import Pace, progress_bar, sparkline


def pace(what: str = "lr-find") -> Pace:
    """Ten seconds and 40 of 210 steps."""
    now = iter([0.0, *[10.0] * 1000])
    made = Pace(what, clock=lambda: next(now))
    for step in range(1, 41):
        made.tell(step, 210, 2.0 / step)
    return made


@pytest.mark.parametrize(
    ("width", "line"),
    [
        (20, "40/210 loss 0.050"),
        (32, "40/210 eta 0:00:42 loss 0.050"),
        (40, "lr-find 40/210 eta 0:00:42 loss 0.050"),
        (60, "lr-find ━━━━╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌ 40/210 eta 0:00:42 loss 0.050"),
        (80, "lr-find ━━━━━╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌ 40/210 0:00:10 eta 0:00:42 loss 0.050 ▇▂▁▁▁▁▁▁"),
    ],
)
def test_the_numbers_are_the_last_to_go(width: int, line: str) -> None:
    assert pace().line(width) == line
    assert len(pace().line(width)) <= width


@pytest.mark.parametrize("width", range(1, 200))
def test_a_line_is_never_too_long(width: int) -> None:
    assert len(pace("a long word for what is done").line(width)) <= width


def test_a_resumed_run_is_judged_by_its_own_pace() -> None:
    now = iter([0.0, 5.0, 15.0])
    resumed = Pace("train", clock=lambda: next(now))
    resumed.tell(501, 1000, 1.0)
    resumed.tell(511, 1000, 1.0)
    assert "eta 0:07:25" in resumed.line(80)  # 11 steps in 10 seconds, 489 are left


def test_nothing_is_printed_unless_a_bar_is_asked_for(config: Config, capsys: pytest.CaptureFixture[str]) -> None:
    short = with_overrides(config, {"train.epochs": 2})
    hpcli.train(short)
    assert capsys.readouterr() == ("", "")
    result = hpcli.train(short, on_progress=hpcli.progress_bar("train"))
    out, err = capsys.readouterr()
    assert out == ""
    *_, last = err.rstrip("\n").split("\r")
    assert err.count("epoch ") == 2
    assert f"valid loss {result.epochs['valid_loss'][1]:.4f}" in err
    assert "14/14" in err
    assert len(last.rstrip()) < 80


def test_a_run_whose_length_is_not_known_stays_on_one_line() -> None:
    file = io.StringIO()
    bar = progress_bar(file=file)
    for step in range(5):
        bar(Progress(step, 0, loss=1.0))
    assert "\n" not in file.getvalue()


def test_in_ipython_a_bar_is_there_unasked(
    config: Config, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    short = with_overrides(config, {"train.epochs": 1})
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=object))
    hpcli.train(short)
    assert "7/7" in capsys.readouterr().err
    hpcli.train(short, on_progress=lambda _: None)
    assert capsys.readouterr() == ("", "")
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: None))  # imported, but not running
    hpcli.train(short)
    assert capsys.readouterr() == ("", "")


def test_a_bar_writes_one_line_over_where_it_is_told_to() -> None:
    file = io.StringIO()
    bar = progress_bar(file=file)
    for step in range(1, 11):
        bar(Progress(step, 10, loss=1.0))
    bar(Progress(10, 10, line="a \x1b[31mword"))
    lines = file.getvalue().split("\n")
    assert "10/10" in lines[0]
    assert "\x1b" not in file.getvalue()
    assert len(lines) == 3


@pytest.mark.parametrize(
    ("values", "curve"),
    [([], ""), ([1.0], "▁"), ([3.0, 2.0, 1.0], "█▄▁"), ([1.0, float("nan"), 2.0], "▁×█"), ([float("inf")], "×")],
)
def test_sparkline(values: list[float], curve: str) -> None:
    assert sparkline(values) == curve


def test_a_long_sparkline_is_short() -> None:
    assert len(sparkline([float(n) for n in range(100_000)])) <= 24
