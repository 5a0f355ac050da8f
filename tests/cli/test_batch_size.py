"""`hpcli batch-size` by the command line, stopped."""

from __future__ import annotations

from itertools import count

import pytest

from hpcli.cli import main
from hpcli.recording.folder_recorder import FolderRecorder
from hpcli.results.batch_size import BatchSizeResult
from hpcli.runs.run import Run
from hpcli.states import RunStatus


@pytest.mark.parametrize("measured", [0, 1])
def test_stopped_it_advises_what_can_be_done(
    measured: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It cannot be resumed, and half a measurement is nothing to go on from."""
    calls = count()
    monkeypatch.setattr(FolderRecorder, "should_stop", lambda _: next(calls) >= measured)
    arguments = ["batch-size", "--sizes=16,32", "--set=model.name=shallow3", "--device=cpu", "--out=a"]
    main(arguments)
    printed = capsys.readouterr().err
    assert "stopped; start it again" in printed
    assert "--resume" not in printed
    assert "next:" not in printed
    run = Run.open("a")
    assert run.status is RunStatus.INTERRUPTED
    assert isinstance(run.result, BatchSizeResult)
    assert len(run.result.rates) == measured
