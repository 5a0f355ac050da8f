"""Trials side by side, in processes of their own: the same trials, and no process is left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from hpcli import sweep
from hpcli.cli import main
from hpcli.config import Config, with_overrides
from hpcli.config.varying import settings
from hpcli.data.dataset import load_splits
from hpcli.errors import HpcliWarning, StorageError, UsageError
from hpcli.files import Lock
from hpcli.recording.disk import DiskRecorder
from hpcli.recording.memory import MemoryRecorder
from hpcli.recording.progress import Progress, silent
from hpcli.results.made_with import MadeWith
from hpcli.states import RunStatus
from hpcli.trials.executor import Outcome, at_once
from hpcli.trials.parallel import ParallelExecutor, executor_for
from hpcli.trials.serial import SerialExecutor
from hpcli.trials.spec import Spec
from hpcli.trials.trainers import Trainers
from tests.reliability.harness import outcome
from tests.trials.stopped import stop_a_driver

CPU = torch.device("cpu")


@pytest.fixture
def short(config: Config) -> Config:
    values = {"optimizer.weight_decay": [1e-4, 1]}
    keys = {"data.train_fraction": 0.1, "sweep.epochs": 2, "sweep.values": values, "sweep.seeds": 2}
    return with_overrides(config, {**keys, "train.threads": 1, "sweep.parallel": 2})


def specs_of(config: Config, seeds: Sequence[int] = (0, 1)) -> list[Spec]:
    return [Spec.of(setting, seed) for seed in seeds for setting in settings(config)]


def numbers(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    return {each.spec.key: each.result.summary() for each in outcomes if each.result is not None}


def workers_of(driver: int) -> list[str]:
    """The processes of a driver's session that are workers, its own or left behind by it."""
    found = subprocess.run(["pgrep", "-s", str(driver), "-f", "hpcli.trials.worker"], capture_output=True, text=True)
    return found.stdout.split()


def test_trials_are_those_that_one_process_trains(short: Config, tmp_path: Path) -> None:
    specs, reports = specs_of(short), list[Progress]()
    alone = list(SerialExecutor(MemoryRecorder(), Trainers(short)).run(specs, silent))
    with (
        DiskRecorder.create("sweep", short, tmp_path / "run") as recorder,
        executor_for(short, recorder, Trainers(short), device=CPU) as executor,
    ):
        assert isinstance(executor, ParallelExecutor)
        assert executor.at_once == 2
        outcomes = list(executor.run(specs, reports.append))
        assert numbers(outcomes) == numbers(alone)
        assert not any(each.reused for each in outcomes)
        assert {row.threads for each in specs for row in recorder.child(each.key, each.config).rows(MadeWith)} == {1}
        more = list(executor.run(specs_of(short, (0, 1, 2)), silent))  # two new ones, by the same workers
        assert [each.reused for each in more] == [True] * 4 + [False] * 2
        assert max(each.done for each in reports) <= 12  # of two trials at once
        workers = [each.process for each in executor._workers]
        assert len(workers) == 2
    assert [each.returncode for each in workers] == [0, 0]


def test_a_worker_that_is_killed_is_its_trials_failure(short: Config, tmp_path: Path) -> None:
    long = with_overrides(short, {"sweep.epochs": 2000})
    specs = [*specs_of(long)[:1], *specs_of(short)[1:]]
    with (
        DiskRecorder.create("sweep", short, tmp_path / "run") as recorder,
        executor_for(short, recorder, Trainers(short), device=CPU) as executor,
    ):
        assert isinstance(executor, ParallelExecutor)
        outcomes = []
        for outcome in executor.run(specs, silent):
            outcomes.append(outcome)
            if len(outcomes) == len(specs) - 1:  # all but the long one
                (busy,) = (each.process for each in executor._workers if each.spec)
                busy.kill()
    assert outcomes[-1].spec == specs[0]
    assert (outcomes[-1].status, outcomes[-1].reason) == (RunStatus.FAILED, "its process ended with signal 9")
    assert [each.status for each in outcomes[:-1]] == [RunStatus.FINISHED] * 3


def test_one_that_fails_stops_no_other(short: Config, tmp_path: Path) -> None:
    values = {"model.options.num_blocks": [[1, 1, 1], [0, 0]]}
    bad = with_overrides(with_overrides(short, {"sweep.values": values}), {"model.name": "resnet20"})
    with (
        DiskRecorder.create("sweep", bad, tmp_path / "run") as recorder,
        executor_for(bad, recorder, Trainers(bad), device=CPU) as executor,
    ):
        outcomes = {each.spec.name: each for each in executor.run(specs_of(bad, (0,)), silent)}
    assert sorted(each.status for each in outcomes.values()) == [RunStatus.FAILED, RunStatus.FINISHED]
    (failed,) = (each for each in outcomes.values() if each.status == RunStatus.FAILED)
    assert failed.reason
    assert "num_blocks" in failed.reason


COMMAND = [
    "sweep-wd", "--values=1e-4,1", "--seeds=2", "--epochs=15", "--device=cpu", "-q", "--set=data.train_fraction=0.3",
    "--set=data.batch_size=32", "--set=model.name=shallow3", "--set=train.threads=1", "--set=sweep.parallel=2",
]  # fmt: skip


@pytest.mark.parametrize("number", [signal.SIGKILL, pytest.param(signal.SIGINT, marks=pytest.mark.slow)])
def test_stopped_anywhere_it_goes_on_with_the_same_table(number: signal.Signals, tmp_path: Path) -> None:
    """A Ctrl-C reaches the workers, too; a killed driver's workers notice that it is gone."""
    stop_a_driver(COMMAND, tmp_path / "run", number, workers_of, 2)
    assert main(["sweep-wd", f"--resume={tmp_path / 'run'}", "-q", "--device=cpu"]) == 0
    assert main([*COMMAND, "--set=sweep.parallel=1", f"--out={tmp_path / 'whole'}"]) == 0
    assert outcome(tmp_path / "run") == outcome(tmp_path / "whole")  # every table of every trial, but for seconds


def test_images_of_somebodys_own_are_not_taken_for_the_configs(short: Config, tmp_path: Path) -> None:
    splits = load_splits(with_overrides(short, {"data.split_seed": 5}))
    with (
        pytest.raises(UsageError, match="images that were passed are not those of the config"),
        DiskRecorder.create("sweep", short, tmp_path / "run") as recorder,
    ):
        sweep(short, recorder=recorder, splits=splits, device="cpu")


def test_without_a_run_folder_trials_run_here(short: Config) -> None:
    with pytest.warns(HpcliWarning, match=r"sweep\.parallel: needs a run folder; one trial at a time"):
        assert sweep(short, device="cpu").status == RunStatus.FINISHED


def test_a_disk_that_fails_ends_the_sweep(short: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with (
        DiskRecorder.create("sweep", short, tmp_path / "run") as recorder,
        executor_for(short, recorder, Trainers(short), device=CPU) as executor,
    ):
        (tmp_path / "run" / "trials").write_text("a file where a folder should be")
        with pytest.raises(StorageError, match="trials"):
            list(executor.run(specs_of(short), silent))


def test_a_trial_that_another_process_holds_is_waited_for(short: Config, tmp_path: Path) -> None:
    spec, other = specs_of(short, (0,))
    with (
        DiskRecorder.create("sweep", short, tmp_path / "run") as recorder,
        executor_for(short, recorder, Trainers(short), device=CPU) as executor,
    ):
        folder = tmp_path / "run" / "trials" / spec.key
        folder.mkdir(parents=True)
        lock, ended = Lock(folder / ".lock"), list[str]()
        for outcome in executor.run([spec, other], silent):
            ended.append(outcome.spec.key)
            assert outcome.status == RunStatus.FINISHED, outcome.reason
            if outcome.spec == other:
                lock.release()
    assert ended == [other.key, spec.key]


def test_how_many_run_at_once(short: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    auto = {"sweep.parallel": "auto"}
    for threads, on_gpu, count in ((None, False, 1), (1, False, 8), (3, False, 2), (16, False, 1), (1, True, 1)):
        asked = with_overrides(short, {**auto, "train.threads": threads})
        assert at_once(asked, on_gpu=on_gpu) == count
    assert at_once(short, on_gpu=True) == 2


def test_threads_are_part_of_a_trial(short: Config) -> None:
    one, two = (specs_of(with_overrides(short, {"train.threads": count}))[0].key for count in (1, 2))
    beside = specs_of(with_overrides(short, {"sweep.parallel": 4}))[0].key
    assert one != two
    assert one == beside
    before = torch.get_num_threads()
    three = with_overrides(short, {"train.threads": 3})
    trainer = Trainers(three, device="cpu").trainer_for(three)
    seen: list[int] = []
    trainer.model.register_forward_pre_hook(lambda *_: seen.append(torch.get_num_threads()))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        trainer.evaluate("valid")
    assert set(seen) == {3}
    assert torch.get_num_threads() == before
