from __future__ import annotations

from dataclasses import replace

import pytest

from hpcli.config import Config, with_overrides
from hpcli.experiments.sweep import sweep
from hpcli.experiments.train import train
from hpcli.results.batch_size import BatchSizeResult
from hpcli.results.check import CheckResult
from hpcli.results.evaluate import EvaluateResult
from hpcli.results.html import InNotebook, html_of
from hpcli.results.interpolate import InterpolateResult
from hpcli.results.lr_find import LRFindResult
from hpcli.results.plane import PlaneResult
from hpcli.results.sweep import SweepResult
from hpcli.results.train import TrainResult
from hpcli.results.tune import TuneResult
from hpcli.states import RunStatus

EVERY = (
    BatchSizeResult, CheckResult, EvaluateResult, InterpolateResult, LRFindResult, PlaneResult, SweepResult, TrainResult,
    TuneResult,
)  # fmt: skip


@pytest.mark.parametrize("result", EVERY)
def test_every_result_has_a_look_in_a_notebook(result: type) -> None:
    assert issubclass(result, InNotebook)


def test_a_run_shows_its_sentence_and_numbers(config: Config) -> None:
    result = train(with_overrides(config, {"train.epochs": 1}))
    html = result._repr_html_()
    assert str(result.summary()["sentence"]) in html
    assert f"<td>valid accuracy</td><td>{result.valid_accuracy:.1%}</td>" in html
    assert html.startswith("<p><b>After 1 epoch")
    assert html_of({"sentence": "So far."}, status=RunStatus.DIVERGED) == "<p><b>So far.</b></p><p>diverged</p>"
    assert "<p><b>interrupted</b></p>" in replace(result, status=RunStatus.INTERRUPTED)._repr_html_()


@pytest.mark.usefixtures("_anything_is_learnt")
def test_a_sweep_shows_a_line_a_value(config: Config) -> None:
    short = with_overrides(config, {"sweep.epochs": 1, "sweep.seeds": 2, "data.train_fraction": 0.1})
    html = sweep(short, {"schedule.max_lr": [1e-3, 3e-3]})._repr_html_()
    assert html.count("<tr>") >= 3
    assert "<th>verdict</th>" in html
    assert "<td>best</td>" in html


def test_text_of_a_users_is_text() -> None:
    summary = {"sentence": "Use <b> & \x1b[31m.", "ranks": [{"<i>": "</td><script>"}], "name": '"<x>'}
    html = html_of(summary, status=RunStatus.FINISHED)
    assert "Use &lt;b&gt; &amp; \\x1b[31m." in html
    assert "<th>&lt;i&gt;</th>" in html
    assert "<td>&lt;/td&gt;&lt;script&gt;</td>" in html
    assert "<x>" not in html
    assert html_of({}, status=RunStatus.INTERRUPTED) == "<p><b>interrupted</b></p>"
