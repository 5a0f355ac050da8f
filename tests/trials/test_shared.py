"""Trials left to workers that a sweep starts for itself: the same trials, others in place of the lost, none left behind."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from hpcli import sweep
from hpcli.cli import main
from hpcli.config import Config, load_config, with_overrides
from hpcli.data.dataset import load_splits
from hpcli.errors import ConfigError, HpcliError, HpcliWarning, UsageError
from hpcli.files import Lock
from hpcli.recording.disk import DiskRecorder
from hpcli.recording.memory import MemoryRecorder
from hpcli.recording.progress import Progress, silent
from hpcli.recording.status import read_standing
from hpcli.results.data import DataFacts
from hpcli.results.trials import SweepTrial
from hpcli.signals import StopSignals
from hpcli.states import RunStatus
from hpcli.trials import crew, shared, shared_worker
from hpcli.trials.parallel import executor_for
from hpcli.trials.serial import SerialExecutor
from hpcli.trials.shared import SharedExecutor
from hpcli.trials.shared_worker import SharedWorker
from hpcli.trials.trainers import Trainers
from tests.reliability.harness import outcome
from tests.trials.stopped import stop_a_driver
from tests.trials.test_parallel import numbers, specs_of

CPU = torch.device("cpu")


@pytest.fixture
def short(config: Config) -> Config:
    values = {"optimizer.weight_decay": [1e-4, 1]}
    keys = {"data.train_fraction": 0.1, "sweep.epochs": 2, "sweep.values": values, "sweep.seeds": 2}
    return with_overrides(config, {**keys, "train.threads": 1, "sweep.workers": 2})


@contextmanager
def executor_in(path: Path, config: Config, *seeds: int) -> Iterator[SharedExecutor]:
    """An executor whose trials stand in the sweep's table, where workers look for them."""
    trainers = Trainers(config)
    with (
        DiskRecorder.create("sweep", config, path) as recorder,
        executor_for(config, recorder, trainers, device=CPU) as executor,
    ):
        assert isinstance(executor, SharedExecutor)
        DataFacts.of(load_splits(config)).record(recorder)
        recorder.replace(SweepTrial, [waiting(spec.key, spec.name, spec.seed) for spec in specs_of(config, seeds)])
        yield executor


def waiting(key: str, name: str, seed: int) -> SweepTrial:
    return SweepTrial(key, name, seed, RunStatus.WAITING, None, None, None, None, "optimizer.weight_decay", None, False)


def test_trials_are_those_that_one_process_trains_though_a_worker_is_killed(short: Config, tmp_path: Path) -> None:
    specs, reports = specs_of(short), list[Progress]()
    alone = list(SerialExecutor(MemoryRecorder(), Trainers(short)).run(specs, silent))
    with executor_in(tmp_path / "run", short, 0, 1) as executor:
        assert executor.at_once == 2
        outcomes = []
        for each in executor.run(specs, reports.append):
            outcomes.append(each)
            if len(outcomes) == 1:
                executor.crew._processes[0].kill()
        assert numbers(outcomes) == numbers(alone)
        assert not any(each.reused for each in outcomes)
        again = list(executor.run(specs, silent))
        assert [each.reused for each in again] == [True] * 4
        workers = list(executor.crew._processes)
        assert workers
    assert all(each.end() is not None for each in workers)


def test_workers_that_are_lost_at_a_trial_are_its_failure(
    short: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crew, "MOST_LOST", 1)
    monkeypatch.setattr(shared, "POLL_SECONDS", 0.02)
    long = with_overrides(short, {"sweep.epochs": 2000, "sweep.workers": 1})
    (spec, _) = specs_of(long, (0,))
    with executor_in(tmp_path / "run", long, 0) as executor:

        def kill(_: Progress) -> None:  # it has taken a step
            executor.crew._processes[0].kill()

        (outcome,) = executor.run([spec], kill)
    assert (outcome.status, outcome.reason) == (RunStatus.FAILED, "1 workers were lost, the last one with signal 9")
    folder = tmp_path / "run" / "trials" / spec.key
    assert (folder / "error.log").read_text() == f"{outcome.reason}\n"


def test_workers_that_are_lost_before_a_trial_end_the_sweep(
    short: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crew, "MOST_LOST", 2)
    monkeypatch.setattr(shared, "IDLE_SECONDS", 0.5)
    monkeypatch.setattr(sys, "executable", "/bin/false")  # exit code 1
    with executor_in(tmp_path / "run", short, 0) as executor, pytest.raises(HpcliError, match="exit code 1") as raised:
        list(executor.run(specs_of(short, (0,)), silent))
    assert raised.value.exit_code == 1
    (tmp_path / "dies").write_text("#!/bin/sh\nkill -9 $$\n")
    (tmp_path / "dies").chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "dies"))
    with (
        executor_in(tmp_path / "other", short, 0) as executor,
        pytest.raises(UsageError, match=r"2 workers were lost before they began a trial, the last one with signal 9"),
    ):
        list(executor.run(specs_of(short, (0,)), silent))


def test_it_says_once_that_nobody_trains(short: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared, "IDLE_SECONDS", 0.1)
    none = with_overrides(short, {"sweep.workers": 0})
    with executor_in(tmp_path / "run", none, 0) as executor:
        stops = iter([False] * 10 + [True] * 9)
        monkeypatch.setattr(executor.stop, "should_stop", lambda: next(stops))
        with pytest.warns(HpcliWarning) as warned:
            assert not list(executor.run(specs_of(none, (0,)), silent))
    (line,) = [str(each.message) for each in warned]
    assert f"2 trials wait; start workers, here or wherever the folder is seen: hpcli sweep --resume {tmp_path}" in line


def test_a_trial_that_has_failed_since_it_was_looked_at_is_not_laid_out_again(
    short: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody seems to train, as workers are slow to start; a later driver tries it again."""
    monkeypatch.setattr(shared, "IDLE_SECONDS", 0.0)
    (spec, _) = specs_of(short, (0,))
    with executor_in(tmp_path / "run", with_overrides(short, {"sweep.workers": 1}), 0) as executor:
        assert not executor._publish(spec, again=True)
        with pytest.raises(ZeroDivisionError), executor._child(spec):
            raise ZeroDivisionError
        executor._idle([spec])
        assert read_standing(tmp_path / "run/trials" / spec.key).status == RunStatus.FAILED  # type: ignore[union-attr]
        executor._publish(spec, again=True)
        assert read_standing(tmp_path / "run/trials" / spec.key).status == RunStatus.CRASHED  # type: ignore[union-attr]


def worker_on(path: Path, config: Config, lines: list[str]) -> SharedWorker:
    splits = load_splits(config)

    def hear(report: Progress) -> None:
        lines.extend([report.line] if report.line else [])

    trainers = Trainers(config, device="cpu", splits=splits)
    return SharedWorker(path, trainers, StopSignals(), hear, data=DataFacts.of(splits))


def laid_out(path: Path, config: Config) -> None:
    """A sweep whose driver has laid its trials out, and is gone."""
    with executor_in(path, with_overrides(config, {"sweep.workers": 0}), 0) as executor:
        for spec in specs_of(config, (0,)):
            assert not executor._publish(spec)


def test_a_worker_trains_what_lies_there_but_for_what_others_are_at(
    short: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared_worker, "LINGER_SECONDS", 0.5)
    laid_out(tmp_path / "run", short)
    first, second = specs_of(short, (0,))
    lines: list[str] = []
    worker = worker_on(tmp_path / "run", short, lines)
    holder = subprocess.Popen(
        [sys.executable, "-c", "import sys, time; from pathlib import Path; from hpcli.files import Lock; "
         f"lock = Lock(Path({str(tmp_path / 'run/trials' / first.key / '.lock')!r})); print(flush=True); time.sleep(99)"],
        stdout=subprocess.PIPE,
    )  # fmt: skip
    assert holder.stdout is not None
    holder.stdout.readline()
    worker.work()
    assert [line.partition(":")[0] for line in lines] == [f"{second.name}, seed 0"]
    holder.kill()
    holder.communicate()
    worker.work()
    assert worker.ended == {RunStatus.FINISHED: 2}
    worker.work()  # nothing is left
    assert worker.ended == {RunStatus.FINISHED: 2}


def test_a_trial_that_another_has_just_ended_is_left_alone(short: Config, tmp_path: Path) -> None:
    laid_out(tmp_path / "run", short)
    spec, _ = specs_of(short, (0,))
    path = tmp_path / "run" / "trials" / spec.key
    worker = worker_on(tmp_path / "run", short, [])
    with worker.within.child(spec.key, spec.config) as child:
        child.finish(RunStatus.FAILED, {})
    with pytest.raises(HpcliError, match="another worker has just brought it to its end"):
        worker.within.child(spec.key, spec.config).__enter__()
    Lock(path / ".lock").release()  # it was let go


def test_a_worker_with_other_images_trains_nothing(short: Config, tmp_path: Path) -> None:
    laid_out(tmp_path / "run", short)
    worker = worker_on(tmp_path / "run", with_overrides(short, {"data.split_seed": 5}), [])
    with pytest.raises(HpcliError, match="the data have changed since the run began"):
        worker.work()
    assert not worker.ended


COMMAND = [
    "sweep-wd", "--values=1e-4,1", "--seeds=2", "--epochs=15", "--device=cpu", "-q", "--set=data.train_fraction=0.3",
    "--set=data.batch_size=32", "--set=model.name=shallow3", "--set=train.threads=1",
]  # fmt: skip


def workers_of(driver: int) -> list[str]:
    found = subprocess.run(
        ["pgrep", "-s", str(driver), "-f", "hpcli.trials.local_launcher"], capture_output=True, text=True
    )
    return found.stdout.split()


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGKILL, marks=pytest.mark.slow)])
def test_stopped_anywhere_it_goes_on_with_the_same_table(number: signal.Signals, tmp_path: Path) -> None:
    """A Ctrl-C reaches the workers, too; those of a driver that is killed notice it."""
    stop_a_driver([*COMMAND, "--workers=2"], tmp_path / "run", number, workers_of, 2)
    go_on = ["sweep-wd", f"--resume={tmp_path / 'run'}", "--set=sweep.workers=null", "--set=sweep.parallel=1", "-q"]
    assert main([*go_on, "--device=cpu"]) == 0
    assert main([*COMMAND, "--set=sweep.parallel=1", f"--out={tmp_path / 'whole'}"]) == 0
    assert outcome(tmp_path / "run") == outcome(tmp_path / "whole")


def test_without_a_run_folder_trials_run_here(short: Config) -> None:
    with pytest.warns(HpcliWarning, match=r"sweep\.workers: needs a run folder; one trial at a time"):
        assert sweep(short, device="cpu").status == RunStatus.FINISHED


def test_what_does_not_go_with_workers() -> None:
    with pytest.raises(ConfigError, match=r"sweep\.workers=2: needs train\.threads, the cores of each trial"):
        load_config(overrides={"sweep.workers": 2})
    with pytest.raises(ConfigError, match="and parallel: one at a time"):
        load_config(overrides={"sweep.workers": 0, "sweep.parallel": 2, "train.threads": 1})
    assert load_config(overrides={"sweep.workers": 1}).sweep.workers == 1
