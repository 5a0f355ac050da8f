"""The executor that runs trials here, one after the other."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hpcli.config import Config, with_overrides
from hpcli.config.varying import settings
from hpcli.errors import DataError, StorageError
from hpcli.recording.disk import DiskRecorder
from hpcli.recording.memory import MemoryRecorder
from hpcli.recording.progress import Progress, silent
from hpcli.recording.recorder import ChildRecorder
from hpcli.results.train import Step, TrainResult
from hpcli.states import RunStatus
from hpcli.training.trainer import Trainer
from hpcli.trials import run
from hpcli.trials.executor import Outcome
from hpcli.trials.serial import SerialExecutor
from hpcli.trials.spec import Spec
from hpcli.trials.trainers import Trainers


@pytest.fixture
def short(config: Config) -> Config:
    values = {"optimizer.weight_decay": [1e-4, 1]}
    return with_overrides(config, {"data.train_fraction": 0.1, "sweep.epochs": 2, "sweep.values": values})


@pytest.fixture
def specs(short: Config) -> list[Spec]:
    return [Spec.of(setting, seed) for seed in (0, 1) for setting in settings(short)]


def executed(config: Config, specs: list[Spec], recorder: MemoryRecorder | DiskRecorder) -> list[Outcome]:
    return list(SerialExecutor(recorder, Trainers(config)).run(specs, silent))


def test_every_trial_has_an_outcome_in_order(short: Config, specs: list[Spec]) -> None:
    recorder, reports = MemoryRecorder(), list[Progress]()
    outcomes = list(SerialExecutor(recorder, Trainers(short)).run(specs, reports.append))
    assert [each.spec for each in outcomes] == specs
    assert {each.status for each in outcomes} == {RunStatus.FINISHED}
    assert not any(each.reused or each.reason for each in outcomes)
    for each in outcomes:
        assert each.result is not None
        assert each.result.config == each.spec.config
        assert each.seconds == recorder.children[each.spec.key].seconds
    assert [report.done for report in reports if report.loss is not None] == [*range(1, 7)] * 4


def test_outcomes_come_one_by_one(short: Config, specs: list[Spec]) -> None:
    recorder = MemoryRecorder()
    outcomes = SerialExecutor(recorder, Trainers(short)).run(specs, silent)
    assert not recorder.children
    for count, outcome in enumerate(outcomes, start=1):
        assert outcome.spec == specs[count - 1]
        assert list(recorder.children) == [spec.key for spec in specs[:count]]


def test_what_is_over_is_reused(short: Config, specs: list[Spec]) -> None:
    recorder = MemoryRecorder()
    first = executed(short, specs[:2], recorder)
    again = executed(short, specs, recorder)
    assert [each.reused for each in again] == [True, True, False, False]
    for before, after in zip(first, again, strict=False):
        assert before.result is not None
        assert after.result is not None
        assert after.result.summary() == before.result.summary()
        assert (after.status, after.seconds) == (before.status, before.seconds)


def test_one_that_fails_stops_no_other_and_its_trainer_is_dropped(
    short: Config, specs: list[Spec], monkeypatch: pytest.MonkeyPatch
) -> None:
    real, used = run.run_trial, list[int]()

    def fake(spec: Spec, recorder: ChildRecorder, *, trainer: Trainer, **about: Any) -> TrainResult:
        used.append(id(trainer.model))
        if spec is specs[0]:
            raise RuntimeError("a fault of the model")
        if spec is specs[1]:
            raise DataError("a fault that hpcli knows")
        return real(spec, recorder, trainer=trainer, **about)

    kept: list[object] = []  # so that no id is given twice
    dropped = Trainers.drop

    def drop(trainers: Trainers) -> None:
        kept.append(trainers._trainer)
        dropped(trainers)

    monkeypatch.setattr(Trainers, "drop", drop)
    monkeypatch.setattr(run, "run_trial", fake)
    outcomes = executed(short, specs, MemoryRecorder())
    assert [each.status for each in outcomes] == [RunStatus.FAILED] * 2 + [RunStatus.FINISHED] * 2
    assert [each.reason for each in outcomes] == [
        "RuntimeError('a fault of the model')",
        "a fault that hpcli knows",
        None,
        None,
    ]
    assert [each.result is None for each in outcomes] == [True, True, False, False]
    assert len(set(used)) == 3
    assert used[2] == used[3]


def test_a_full_disk_is_nobodys_outcome(short: Config, specs: list[Spec], monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> TrainResult:
        raise StorageError(28, "No space left on device", "steps.csv")

    monkeypatch.setattr(run, "run_trial", full)
    with pytest.raises(StorageError, match=r"steps\.csv: No space left on device; free some space"):
        executed(short, specs, MemoryRecorder())


def test_an_os_error_of_a_users_network_is_its_trials(
    short: Config, specs: list[Spec], monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost(*_: object, **__: object) -> TrainResult:
        raise FileNotFoundError(2, "No such file or directory", "vocabulary.txt")

    monkeypatch.setattr(run, "run_trial", lost)
    outcomes = executed(short, specs, MemoryRecorder())
    assert [each.status for each in outcomes] == [RunStatus.FAILED] * len(specs)
    assert "No such file" in str(outcomes[0].reason)


class Halting(MemoryRecorder):
    """Its children ask to stop once so many steps are written."""

    def __init__(self, config: Config | None = None, *, after: int) -> None:
        super().__init__(config)
        self.after = after

    def should_stop(self) -> bool:
        return len(self.rows(Step)) >= self.after

    def new_child(self, config: Config) -> MemoryRecorder:
        return Halting(config, after=self.after)


def test_nothing_is_begun_after_an_interruption(short: Config, specs: list[Spec]) -> None:
    recorder = Halting(after=3)
    (outcome,) = executed(short, specs, recorder)
    assert (outcome.spec, outcome.status) == (specs[0], RunStatus.INTERRUPTED)
    assert list(recorder.children) == [specs[0].key]
    (over,) = executed(short, specs, StopsItself())
    assert (over.spec, over.status) == (specs[0], RunStatus.FINISHED)


class StopsItself(MemoryRecorder):
    """Asks to stop, but its children do not: the wish came between two trials."""

    def should_stop(self) -> bool:
        return True

    def new_child(self, config: Config) -> MemoryRecorder:
        return MemoryRecorder(config)


def test_trials_have_folders_of_their_own(short: Config, specs: list[Spec], tmp_path: Path) -> None:
    in_memory = executed(short, specs, MemoryRecorder())
    with DiskRecorder.create("sweep", short, tmp_path / "sweep") as recorder:
        outcomes = executed(short, specs, recorder)
    for spec, outcome, other in zip(specs, outcomes, in_memory, strict=True):
        about = json.loads((tmp_path / "sweep/trials" / spec.key / "summary.json").read_text())
        assert outcome.result is not None
        assert other.result is not None
        assert about["valid_loss"] == outcome.result.valid_loss == other.result.valid_loss
    with DiskRecorder.reopen("sweep", tmp_path / "sweep", short, again=True) as recorder:
        again = executed(short, specs, recorder)
    assert all(each.reused for each in again)
    assert [each.result and each.result.summary() for each in again] == [
        each.result and each.result.summary() for each in outcomes
    ]
