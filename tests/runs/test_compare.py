"""Runs put together by setting and judged; what cannot be compared is said."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import numpy as np
import pytest

from hpcli import Run, compare, plots
from hpcli.analysis.verdict import verdict
from hpcli.errors import UsageError
from hpcli.results.looks import level_of
from hpcli.runs.comparison import Comparison
from hpcli.runs.judging import in_words
from hpcli.states import Judgement, RunStatus
from hpcli.views.report import report, write_page
from tests.runs.made import made

LOSSES = {1e-3: [0.93, 0.97, 0.90], 1e-2: [0.86, 0.91, 0.83], 1e-1: [1.12, 1.15, 1.08]}


def made_all(folder: Path, losses: dict[float, list[float]] = LOSSES) -> list[Path]:
    return [
        made(folder / f"{lr}-{seed}", [2.0, loss], schedule__max_lr=lr, seed=seed)
        for lr, own in losses.items()
        for seed, loss in enumerate(own)
    ]


def whys(compared: Comparison) -> dict[str, str]:
    return {run.glance.name: run.why_not for run in compared.trained if run.why_not}


def test_settings_are_judged_as_a_sweep_judges_them(tmp_path: Path) -> None:
    compared = compare(made_all(tmp_path))
    assert [each.name for each in compared.settings] == ["max_lr 0.01", "max_lr 1e-3", "max_lr 0.1"]
    assert compared.keys == ("schedule.max_lr",)
    best = compared.settings[0]
    assert best.mean == pytest.approx(np.mean(LOSSES[1e-2]))
    assert best.standard_error == pytest.approx(np.std(LOSSES[1e-2], ddof=1) / np.sqrt(3))
    expected = verdict([LOSSES[lr] for lr in (1e-2, 1e-3, 1e-1)], level=level_of(1), chance=compared.chance)
    assert compared.found is not None
    found = {each.value: each for each in compared.found.verdict.comparisons}
    for each, name in zip(expected.comparisons, ("0.01", "1e-3", "0.1"), strict=True):
        assert found[name].verdict == each.verdict
        assert found[name].low == pytest.approx(each.low)
    assert found["1e-3"].verdict == Judgement.WORSE
    assert in_words(compared).startswith("Use 0.01, the best. 1e-3 is worse by 0.067 [")
    again = compare([Run.open(path) for path in made_all(tmp_path / "more")], look=2)
    assert again.found is not None
    assert again.found.level == level_of(2)


def test_without_two_seeds_nothing_is_judged_and_the_cost_is_said(tmp_path: Path) -> None:
    compared = compare(made_all(tmp_path, {1e-3: [0.93], 1e-2: [0.86]}))
    assert compared.found is None
    assert [each.standard_error for each in compared.settings] == [None, None]
    assert in_words(compared).startswith(
        "It cannot be told whether these differences are more than noise: none of 2 settings has two seeds. Three seeds "
        "of each are 4 runs more, about "
    )
    compared = compare(made_all(tmp_path / "more", {1e-3: [0.93, 0.95], 1e-2: [0.86, 0.9], 1e-1: [1.2]}))
    assert "Of one seed, and not judged: max_lr 0.1." in in_words(compared)


def test_one_setting_has_a_mean_and_its_error(tmp_path: Path) -> None:
    compared = compare(made_all(tmp_path, {1e-3: [0.93, 0.97]}))
    assert in_words(compared) == (
        "2 runs are of one setting, so there is nothing to judge: a loss of 0.95 ± 0.02 (standard error)."
    )


def test_what_is_measured_on_other_images_is_left_out(tmp_path: Path) -> None:
    runs = made_all(tmp_path, {1e-3: [0.93], 1e-2: [0.86]})
    runs += [made(tmp_path / "images", [0.1], images="b"), made(tmp_path / "classes", [0.1], classes=("cat", "dog"))]
    compared = compare(runs)
    assert dict(compared.apart) == {
        "images": "measured on other validation images",
        "classes": "other classes (2, not 10, or of other names)",
    }
    assert len(compared.trained) == 2
    assert not compare(runs[1:3]).is_any


def test_other_lengths_and_runs_that_are_not_over_are_shown_and_not_judged(tmp_path: Path) -> None:
    runs = made_all(tmp_path, {1e-3: [0.93, 0.9], 1e-2: [0.86, 0.9]})
    runs += [
        made(tmp_path / "longer", [2.0, 1.0, 0.5]),
        made(tmp_path / "stopped", [2.0], RunStatus.INTERRUPTED, train__epochs=2),
        made(tmp_path / "wild", [2.0], RunStatus.DIVERGED, train__epochs=2, schedule__max_lr=9.0, seed=0),
        made(tmp_path / "wild-too", [2.0], RunStatus.DIVERGED, train__epochs=2, schedule__max_lr=9.0, seed=1),
    ]
    compared = compare(runs)
    assert whys(compared) == {"longer": "3 epochs, not 2", "stopped": "interrupted"}
    assert compared.found is not None
    assert compared.found.verdict.comparisons[-1].verdict == Judgement.DIVERGED
    assert "9 diverged." in in_words(compared)


def test_a_run_that_is_there_twice_counts_once(tmp_path: Path) -> None:
    runs = made_all(tmp_path, {1e-3: [0.93, 0.9], 1e-2: [0.86, 0.9]})
    copy = made(tmp_path / "copy", [2.0, 0.93], schedule__max_lr=1e-3, seed=0)
    other = made(tmp_path / "other", [2.0, 0.5], schedule__max_lr=1e-2, seed=0)
    (tmp_path / "latest").symlink_to(runs[0])
    compared = compare([*runs, tmp_path / "latest", copy, other])
    assert [len(each.runs) for each in compared.settings] == [2, 2]
    assert compared.notes == (
        "0.001-0 is counted, and not copy: one setting and seed, and the same loss",
        "0.01-0 is counted, and not other: one setting and seed, and another loss",
    )


def test_equal_configs_on_other_training_images_are_two_settings(tmp_path: Path) -> None:
    one, other = made(tmp_path / "one", [0.5]), made(tmp_path / "other", [0.5])
    path = other / "data.csv"
    text = path.read_text().replace("train,1000,a", "train,1000,z")
    path.write_text(text)
    about = json.loads((other / "status.json").read_text())
    del about["sha256"]
    about["files"]["data.csv"] = hashlib.sha256(text.encode()).hexdigest()
    (other / "status.json").write_text(json.dumps(about))
    assert compare([one, other]).keys == ("training images",)


def test_what_is_no_run_or_damaged_is_left_out(tmp_path: Path) -> None:
    runs = made_all(tmp_path, {1e-3: [0.93], 1e-2: [0.86], 1e-1: [0.99]})
    (runs[0] / "metrics.csv").write_text("epoch\n")
    (tmp_path / "notes").mkdir()
    compared = compare([*runs, tmp_path / "notes"])
    apart = dict(compared.apart)
    assert apart["notes"] == "not a run folder"
    assert "metrics.csv: changed since the run ended" in apart["0.001-0"]
    assert len(compared.trained) == 2
    for too_few in ([runs[1]], [runs[1], runs[1]]):
        with pytest.raises(UsageError, match="takes two runs at least"):
            compare(too_few)
    with pytest.raises(UsageError, match="no such run folder"):
        compare([*runs, tmp_path / "gone"])


def test_runs_of_one_name_are_called_by_their_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    made(Path("a/run"), [0.5])
    made(Path("b/run"), [0.6], seed=1)
    assert [run.glance.name for run in compare(["a/run", "b/run"]).trained] == [f"a{os.sep}run", f"b{os.sep}run"]


@pytest.mark.parametrize("count", [2, 12, 30])
def test_the_picture_has_a_row_a_setting(tmp_path: Path, count: int) -> None:
    """Those beyond twenty share one, and so does a run that is not judged have its own."""
    losses = {round(1e-3 * 1.3**n, 6): [0.5 + 0.02 * n] for n in range(count)}
    figure = plots.compare(compare([*made_all(tmp_path, losses), made(tmp_path / "$lo\nng$", [2.0, 1.0, 0.5])]))
    left, right = figure.axes
    named = [label.get_text() for label in right.get_yticklabels()]
    assert named[: min(count, 20)] == [f"max_lr {value:g}".replace("0.001", "1e-3") if n == 0 else named[n] for n, value in
                                       enumerate(list(losses)[:20])]  # fmt: skip
    assert named[min(count, 20)] == "\\$lo\N{REPLACEMENT CHARACTER}ng\\$: 3 epochs, not 2"
    assert (named[-1] == f"{count - 20} more runs") is (count > 20)
    assert len(left.lines) == count + 1


def test_a_mailed_page_is_read_as_the_runs_that_it_holds(tmp_path: Path) -> None:
    paths = made_all(tmp_path / "here")
    write_page(tmp_path / "page.html", report([Run.open(path) for path in paths[:-1]]))
    there, here = compare([tmp_path / "page.html", paths[-1]]), compare(paths)
    assert in_words(there) == in_words(here)
    assert [each.name for each in there.settings] == [each.name for each in here.settings]
    for one, other in zip(there.settings, here.settings, strict=True):
        assert one.losses.tolist() == other.losses.tolist()
        assert [run.glance.name for run in one.runs] == [run.glance.name for run in other.runs]
    assert there.found is not None
    assert here.found is not None
    assert there.found.verdict == here.found.verdict


def test_runs_of_a_page_that_are_here_too_count_once_and_are_told_apart(tmp_path: Path) -> None:
    one, other = (
        made(tmp_path / name, [2.0, loss], seed=n) for n, (name, loss) in enumerate({"a": 1.0, "b": 1.1}.items())
    )
    write_page(tmp_path / "page.html", report([Run.open(one), Run.open(other)]))
    compared = compare([one, tmp_path / "page.html"])
    assert sorted(run.glance.name for run in compared.trained) == ["a", "b", "page.html:a"]
    assert compared.notes == ("a is counted, and not page.html:a: one setting and seed, and the same loss",)


def test_a_page_that_is_damaged_is_left_out(tmp_path: Path) -> None:
    paths = [made(tmp_path / name, [2.0, 1.0], seed=n) for n, name in enumerate("ab")]
    page = tmp_path / "page.html"
    write_page(page, report([Run.open(path) for path in paths]).replace('"runs":[{', '"runs":[{{'))
    assert compare([*paths, page]).apart == (
        ("page.html", f"{page}: no report of this hpcli, or a damaged one; make it anew"),
    )
