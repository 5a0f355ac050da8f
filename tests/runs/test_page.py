"""What a page holds of a run is what its folder says."""

from __future__ import annotations

from pathlib import Path

import pytest

from hpcli.errors import CheckpointError
from hpcli.recording.folder import Folder
from hpcli.results.data import ClassImages, DataFacts
from hpcli.results.evaluate import Score
from hpcli.results.train import Epoch
from hpcli.runs.glance import glance
from hpcli.runs.page import GENERATOR, ID, is_page, page_json, page_runs, plain_run
from hpcli.states import RunStatus
from tests.runs.made import made

pytestmark = pytest.mark.filterwarnings("ignore::hpcli.errors.HpcliWarning")


def page_of(path: Path, *runs: Path) -> Path:
    held = page_json([plain_run(glance(run), Folder(run)) for run in runs])
    path.write_text(f'{GENERATOR}<script type="application/json" id="{ID}">{held}</script>')
    return path


def test_a_run_comes_back(tmp_path: Path) -> None:
    run = made(tmp_path / "a", [2.0, float("nan"), float("inf")], classes=["</script>", "<!--", "é", "007"])
    ((look, rows),) = page_runs(page_of(tmp_path / "page.html", run))
    there = glance(run)
    assert (look.name, look.command, look.status) == (there.name, there.command, there.status)
    assert (look.config, look.summary) == (there.config, there.summary)
    assert (look.seconds, look.updated, look.loss) == (there.seconds, there.updated, there.loss)
    assert [each.class_ for each in rows.rows(ClassImages)] == ["</script>", "<!--", "é", "007"]
    assert repr(rows.rows(Epoch)) == repr(Folder(run).rows(Epoch))
    assert DataFacts.from_rows(rows).chance_loss() == DataFacts.from_rows(Folder(run)).chance_loss()
    assert rows.rows(Score) == []
    assert rows.arrays("batch") is None


def test_what_a_page_holds_ends_no_element(tmp_path: Path) -> None:
    held = page_json([{"name": "</script><!--\u2028&"}])
    assert not set("<>&\u2028") & set(held)


def test_a_run_that_goes_on_keeps_what_was_known(tmp_path: Path) -> None:
    run = made(tmp_path / "a", [2.0], RunStatus.INTERRUPTED)
    ((look, _),) = page_runs(page_of(tmp_path / "page.html", run))
    assert look.status is RunStatus.INTERRUPTED


@pytest.mark.parametrize(
    "text",
    [
        "",
        "<html>",
        GENERATOR,
        f'{GENERATOR}<script type="application/json" id="{ID}">{{</script>',
        f'{GENERATOR}<script type="application/json" id="{ID}">[]</script>',
        f'{GENERATOR}<script type="application/json" id="{ID}">{{"format":1,"runs":[{{}}]}}</script>',
        f'{GENERATOR}<script type="application/json" id="{ID}">{{"format":2,"runs":[]}}</script>',
    ],
)
def test_another_file_is_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    path.write_text(text)
    with pytest.raises(CheckpointError, match=r"page\.html: no report of this hpcli"):
        page_runs(path)


def test_a_table_that_is_damaged_is_named(tmp_path: Path) -> None:
    path = page_of(tmp_path / "page.html", made(tmp_path / "a", [2.0]))
    path.write_text(path.read_text().replace('"metrics":[[0,9', '"metrics":[["x",9'))
    assert is_page(path)
    ((_, rows),) = page_runs(path)
    with pytest.raises(CheckpointError, match="metrics"):
        rows.rows(Epoch)
