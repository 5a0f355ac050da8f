"""`hpcli report`: where the page goes, and what it is never written over."""

from __future__ import annotations

from pathlib import Path

import pytest

from hpcli.cli import main
from hpcli.config import load_config
from hpcli.recording.disk import DiskRecorder
from hpcli.results.data import ClassImages
from hpcli.results.train import Epoch, TrainResult
from hpcli.states import RunStatus
from tests.runs.made import made

pytestmark = pytest.mark.filterwarnings("ignore::hpcli.errors.HpcliWarning")


def test_the_page_of_a_run_lies_in_its_folder_and_is_made_anew(capsys: pytest.CaptureFixture[str]) -> None:
    made(Path("a"), [2.0, 1.0])
    for _ in range(2):
        assert main(["report", "a"]) == 0
        assert capsys.readouterr().err == "wrote a/report.html\n"
    before = Path("a/report.html").read_text()
    assert "<h1>Training run: " in before
    assert main(["runs", "."]) == 0  # the folder is no less a run for it
    assert "damaged" not in capsys.readouterr().out


def test_that_of_several_lies_here() -> None:
    made(Path("a"), [2.0, 1.0])
    made(Path("b"), [2.0, 1.0], seed=1)
    assert main(["report", "a", "b"]) == 0
    assert "<h1>2 runs</h1>" in Path("report.html").read_text()
    assert main(["report", "a", "b", "-o", "mine.html"]) == 0
    assert Path("mine.html").read_bytes() == Path("report.html").read_bytes()


def test_nothing_else_is_written_over(capsys: pytest.CaptureFixture[str]) -> None:
    made(Path("a"), [2.0, 1.0])
    Path("mine.html").write_text("<html>mine</html>")
    Path("folder").mkdir()
    for there in ("mine.html", "folder"):
        assert main(["report", "a", "-o", there]) == 2
        assert f"{there}: exists, and is no report of hpcli's" in capsys.readouterr().err
    assert Path("mine.html").read_text() == "<html>mine</html>"
    assert main(["report", "a", "-o", "nowhere/page.html"]) == 2
    assert "nowhere: no such folder" in capsys.readouterr().err


def test_a_folder_that_is_no_run_is_refused_as_elsewhere(capsys: pytest.CaptureFixture[str]) -> None:
    Path("a").mkdir()
    assert main(["report", "a"]) == 2
    assert capsys.readouterr().err == "error: a: not a run folder (it has no config.yaml)\n"
    made(Path("b"), [2.0])
    assert main(["report", "b", "b"]) == 0  # one run, named twice
    assert Path("b/report.html").exists()


def test_a_run_that_goes_on_is_watched_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    config, pages = load_config(overrides={"train.epochs": 1}), []
    with DiskRecorder.create("train", config, Path("a")) as run:
        run.replace(ClassImages, [ClassImages(n, str(n), 100, 20, 0) for n in range(10)])

        def end(_: float) -> None:
            pages.append(Path("a/report.html").read_text())
            run.add(Epoch(0, 9, 1.0, 1.0, 1.0, 0.5, 1.0, 0.01, 0.9, 1.0))
            run.finish(RunStatus.FINISHED, TrainResult.from_rows(config, RunStatus.FINISHED, run).summary())

        monkeypatch.setattr("hpcli.cli.report.time.sleep", end)
        assert main(["report", "a", "--watch"]) == 0
    (before,), after = pages, Path("a/report.html").read_text()
    assert '<meta http-equiv="refresh" content="10">' in before
    assert "This run is going on." in before
    assert "refresh" not in after
    assert "After 1 epoch 50.0%" in after
