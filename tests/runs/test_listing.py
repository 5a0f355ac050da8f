"""The runs in a folder: which they are, how each stands, what of their configs is shown."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from hpcli.errors import UsageError
from hpcli.recording.disk import DiskRecorder
from hpcli.results.train import Step
from hpcli.runs.differing import Values, setting_text, shared, short_names
from hpcli.runs.glance import Glance, glance
from hpcli.runs.listing import Listing, list_runs, records, rows
from hpcli.states import RunStatus
from tests.runs.made import made
from tests.runs.test_run import ended, in_child

INF = float("inf")
DIGITS = {"data.batch_size": 64, "data.validation": 0.2}
"""What the config that is used where none is named has."""


def names(listing: Listing) -> list[str]:
    return [run.name for run in listing.runs]


def differs(run: Glance, listing: Listing) -> str:
    own = listing.own(run)
    return setting_text(own, short_names(own.keys()))


@pytest.fixture
def several(tmp_path: Path) -> Path:
    """A calm run, a fast one, one that diverged; in order of age."""
    made(tmp_path / "calm", [1.0, 0.6], schedule__max_lr=3e-3, model__name="shallow3")
    made(tmp_path / "fast", [1.0, 0.4], schedule__max_lr=3e-2, model__name="shallow3", optimizer__weight_decay=1e-4)
    made(tmp_path / "wild", [INF], RunStatus.DIVERGED, train__epochs=2, schedule__max_lr=9.0, model__name="shallow3")
    for n, name in enumerate(("calm", "fast", "wild")):
        os.utime(tmp_path / name, (1000 + n, 1000 + n))
    return tmp_path


def test_a_run_is_shown_by_what_it_differs_in_and_came_to(several: Path) -> None:
    listing = list_runs(several, sort="name")
    calm, fast, wild = listing.runs
    assert [differs(run, listing) for run in listing.runs] == ["max_lr 3e-3", "wd 1e-4, max_lr 0.03", "max_lr 9"]
    assert listing.shared == {**DIGITS, "model.name": "shallow3", "train.epochs": 2}
    assert (calm.status, calm.loss) == (RunStatus.FINISHED, 0.6)
    assert calm.accuracy == pytest.approx(0.8)
    assert (wild.status, wild.loss) == (RunStatus.DIVERGED, None)
    assert calm.seconds is not None
    assert fast.command == "train"


def test_what_one_command_alone_makes_use_of_is_not_said_of_all() -> None:
    two: list[tuple[str, Values]] = [("train", {"train.epochs": 2, "seed": 1}), ("train", {"train.epochs": 2})]
    assert shared(two) == {"train.epochs": 2}
    assert shared([*two, ("tune", {"train.epochs": 2, "tune.runs": 12})]) == {"train.epochs": 2}
    assert shared([*two, ("tune", {"tune.runs": 12})]) == {}
    assert shared([*two, ("lr_find", {"lr_find.steps": 50})]) == {"train.epochs": 2}  # whose length is its own
    assert shared([*two, *[("tune", {"train.epochs": 2, "tune.runs": 12})] * 2]) == {"train.epochs": 2, "tune.runs": 12}
    assert [shared(two[:1]), shared([])] == [{}, {}]


@pytest.mark.parametrize(
    ("sort", "order"),
    [
        ("loss", ["fast", "calm", "wild"]), ("accuracy", ["fast", "calm", "wild"]), ("name", ["calm", "fast", "wild"]),
        ("status", ["wild", "calm", "fast"]), ("max_lr", ["calm", "fast", "wild"]),
        ("optimizer.weight_decay", ["fast", "calm", "wild"]),
    ],
)  # fmt: skip
def test_runs_come_in_order(several: Path, sort: str, order: list[str]) -> None:
    assert names(list_runs(several, sort=sort)) == order


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        (["status=finished"], ["calm", "fast"]), (["status=finished", "max_lr=3e-2"], ["fast"]), (["al"], ["calm"]),
        (["schedule.max_lr=0.003"], ["calm"]), (["wd=1e-4"], ["fast"]), (["model=resnet20"], []), (["epochs=2", "w"], ["wild"]),
        (["command=train", "name=fa"], ["fast"]), (["momentum=0.95-0.85", "status=diverged"], ["wild"]),
    ],
)  # fmt: skip
def test_filters_all_hold(several: Path, filters: list[str], found: list[str]) -> None:
    listing = list_runs(several, filters=filters, sort="name")
    assert (names(listing), listing.found) == (found, 3)


@pytest.mark.parametrize(
    ("filters", "sort", "says"),
    [
        (["status=finishd"], "age", "--filter status=finishd: did you mean finished?"),
        (["comand=train"], "age", "--filter comand=train: "),
        (["command=trian"], "age", "did you mean train?"),
        (["values=3"], "age", "did you mean lr_find.values or sweep.values or tune.values?"),
        ([], "los", "--sort los: did you mean loss?"),
    ],
)
def test_what_means_nothing_is_refused(several: Path, filters: list[str], sort: str, says: str) -> None:
    with pytest.raises(UsageError) as found:
        list_runs(several, filters=filters, sort=sort)
    assert says in str(found.value)


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for name, why in (("gone", "no such folder"), ("file", "not a folder")):
        with pytest.raises(UsageError, match=why):
            list_runs(tmp_path / name)
    assert list_runs(tmp_path).runs == ()


def test_folders_are_gone_through_but_not_runs_links_and_what_is_hidden(several: Path) -> None:
    made(several / "group/more/deep", [0.5])
    made(several / "calm/trials/one", [0.5])
    made(several / ".hidden/run", [0.5])
    (several / "latest").symlink_to("calm")
    (several / "notes").mkdir()
    (several / "notes/status.json").write_text("{}")  # somebody else's
    assert sorted(names(list_runs(several))) == ["calm", "fast", "group/more/deep", "wild"]
    assert names(list_runs(several / "calm")) == ["trials/one"]
    assert names(list_runs(several / "fast")) == ["fast"]


def test_a_damaged_run_is_a_row_that_says_so(several: Path) -> None:
    for name, file in (("calm", "metrics.csv"), ("fast", "status.json"), ("wild", "summary.json")):
        path = several / name / file
        path.write_bytes(path.read_bytes()[:-20])
    (several / "old").mkdir()
    for name in ("config.yaml", "environment.json"):
        (several / "old" / name).write_text("{}")
    found = {run.name: run for run in list_runs(several).runs}
    assert {run.status for run in found.values()} == {RunStatus.DAMAGED}
    for name, says in (
        ("calm", "metrics.csv: changed since the run ended"), ("fast", "status.json: damaged"),
        ("wild", "summary.json: changed since the run ended"), ("old", "it has no status.json"),
    ):  # fmt: skip
        assert says in found[name].fault
    assert found["calm"].loss == 0.6
    assert names(list_runs(several, filters=["status=damaged"])) == names(list_runs(several))


def test_a_config_of_another_hpcli_is_named(several: Path) -> None:
    path = several / "calm/status.json"
    about = json.loads(path.read_text())
    del about["sha256"]
    about["config"]["train"]["novelty"] = 3
    path.write_text(json.dumps(about))
    (run,) = [run for run in list_runs(several).runs if run.name == "calm"]
    assert (run.status, run.config) == (RunStatus.DAMAGED, None)
    assert run.fault.endswith("calm: a config of another hpcli (train.novelty)")


def test_a_killed_run_has_crashed_and_shows_what_there_is(tmp_path: Path) -> None:
    config = glance(made(tmp_path / "other", [0.5])).config
    assert config is not None

    def killed() -> None:
        recorder = DiskRecorder.create("train", config, tmp_path / "run").__enter__()
        recorder.add(Step(0, 0.1, 0.9, 2.0), durable=True)

    assert ended(in_child(killed)) == 0
    run = glance(tmp_path / "run")
    assert (run.status, run.loss, run.seconds, run.fault) == (RunStatus.CRASHED, None, None, "")


def test_an_interrupted_run_shows_its_last_epoch(tmp_path: Path) -> None:
    run = glance(made(tmp_path / "run", [0.9, 0.7], RunStatus.INTERRUPTED, train__epochs=9))
    assert (run.status, run.loss, run.summary["epochs"]) == (RunStatus.INTERRUPTED, 0.7, 2)


def test_programs_get_full_keys(several: Path) -> None:
    listing = list_runs(several, sort="name")
    calm = records(listing)[0]
    assert calm["differs"] == {**DIGITS, "model.name": "shallow3", "schedule.max_lr": 3e-3, "train.epochs": 2}
    assert calm["result"] == {"valid_loss": 0.6, "valid_accuracy": pytest.approx(0.8)}
    table = rows(listing)
    assert [row["optimizer.weight_decay"] for row in table] == [0.01, 1e-4, 0.01]
    assert "differs" not in table[0]
