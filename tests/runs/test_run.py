from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from hpcli.commands import COMMANDS
from hpcli.config import Config, to_yaml, with_overrides
from hpcli.errors import CheckpointError, UsageError
from hpcli.experiments.sweep import sweep
from hpcli.experiments.train import train
from hpcli.recording import csv_text, status
from hpcli.recording.disk import DiskRecorder
from hpcli.recording.memory import MemoryRecorder
from hpcli.recording.rows import Column, Row, columns_of
from hpcli.results.sweep import SweepResult
from hpcli.results.train import Epoch, Step, TrainResult
from hpcli.results.trials import SweepTrial
from hpcli.runs.run import Run, find_runs
from hpcli.runs.weights import load_weights
from hpcli.states import RunStatus
from hpcli.training.trainer import Trainer


@pytest.fixture
def uneven(config: Config) -> Config:
    """Its validation loss is lowest after the second of six epochs."""
    return with_overrides(
        config,
        {
            "model.name": "resnet20",
            "model.options.num_blocks": [1, 1, 1],
            "data.steps_per_epoch": 3,
            "train.epochs": 6,
            "train.checkpoint_epochs": [3],
            "schedule.name": "constant",
            "schedule.momentum": 0.9,
        },
    )


class Interrupted(DiskRecorder):
    """Is asked to stop once so many steps are written."""

    after = 7

    def should_stop(self) -> bool:
        return len(self.rows(Step)) >= self.after and not self.resumed


def trained(path: Path, config: Config, kind: type[DiskRecorder] = DiskRecorder) -> TrainResult:
    with kind.create("train", config, path) as recorder:
        result = train(config, recorder=recorder, device="cpu")
        recorder.finish(result.status, result.summary())
    return result


def in_child(work: Callable[[], object]) -> int:
    """Start `work` in a forked process, which ends with it whatever it has open, and return its number."""
    child = os.fork()
    if child:
        return child
    try:
        work()
    except BaseException:
        os._exit(99)
    os._exit(0)


def ended(child: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def same(one: TrainResult, other: TrainResult) -> bool:
    """Every field, arrays by their numbers."""
    alike = [
        all(np.array_equal(a[key], b[key], equal_nan=True) for key in a) if isinstance(a, dict) else a == b
        for a, b in (
            (getattr(one, each.name), getattr(other, each.name)) for each in fields(one) if each.name != "batch"
        )
    ]
    pictures = (one.batch, other.batch)
    return all(alike) and all(
        batch is not None and np.array_equal(batch.images, pictures[0].images)  # type: ignore[union-attr]
        for batch in pictures
    )


def test_a_finished_run_is_read_back_as_it_was_returned(config: Config, tmp_path: Path) -> None:
    result = trained(tmp_path / "run", config)
    run = Run.open(tmp_path / "run")
    assert (run.command, run.status, run.config) == ("train", RunStatus.FINISHED, config)
    assert isinstance(run.result, TrainResult)
    assert same(run.result, result)
    assert run.result is run.result
    assert run.summary is not None
    assert run.seconds is not None
    assert run.summary["seconds"] == pytest.approx(run.seconds, abs=1.0)
    assert {name: run.summary[name] for name in result.summary()} == json.loads(json.dumps(result.summary()))
    assert run.environment == json.loads((tmp_path / "run/environment.json").read_text())
    assert run.environment["packages"]
    assert run.rows(Epoch)[-1].valid_loss == result.valid_loss
    assert run.children == {}


def test_an_interrupted_run_has_what_there_is_so_far(config: Config, tmp_path: Path) -> None:
    trained(tmp_path / "run", config, Interrupted)
    run = Run.open(str(tmp_path / "run"))
    assert (run.status, run.summary) == (RunStatus.INTERRUPTED, None)
    assert isinstance(run.result, TrainResult)
    assert run.result.status == RunStatus.INTERRUPTED
    assert run.result.steps["step"].tolist() == list(range(8))
    assert run.result.epochs["epoch"].tolist() == [0]
    assert (run.result.weight_norms, run.result.test) == ((), None)
    assert run.standing is not None
    assert (run.standing.step, run.standing.exit_code) == (7, 0)
    assert set(run.weights()) == set(Trainer.from_config(config).model.state_dict())


def test_a_run_that_no_process_holds_has_crashed(config: Config, tmp_path: Path) -> None:
    """Its status says that it runs: it was killed."""

    def killed() -> None:
        recorder = DiskRecorder.create("train", config, tmp_path / "run").__enter__()
        recorder.add(Step(0, 0.1, 0.9, 2.0), durable=True)

    assert ended(in_child(killed)) == 0  # its context is never left
    assert json.loads((tmp_path / "run/status.json").read_text())["status"] == "running"
    run = Run.open(tmp_path / "run")
    assert (run.status, run.summary) == (RunStatus.CRASHED, None)
    assert isinstance(run.result, TrainResult)
    assert run.result.steps["train_loss"].tolist() == [2.0]
    assert run.result.valid_loss is None
    assert run.standing is not None
    assert run.standing.step == 0
    with pytest.raises(CheckpointError, match="no checkpoint last"):
        run.weights()


def test_a_run_that_a_process_holds_is_running(config: Config, tmp_path: Path) -> None:
    (reads, writes), (waits, ends) = os.pipe(), os.pipe()

    def held() -> None:
        os.close(ends)
        with DiskRecorder.create("train", config, tmp_path / "run"):
            os.write(writes, b"x")
            os.read(waits, 1)

    child = in_child(held)
    os.close(writes)
    os.close(waits)
    try:
        assert os.read(reads, 1) == b"x"
        assert Run.open(tmp_path / "run").status == RunStatus.RUNNING
    finally:
        os.close(ends)
        os.close(reads)
        assert ended(child) == 0


@pytest.mark.parametrize("status", [{"status": "finished", "command": "train"}, {"status": "finished", "format": 1}])
def test_a_folder_of_format_1_is_refused_by_name(config: Config, tmp_path: Path, status: dict[str, object]) -> None:
    (tmp_path / "config.yaml").write_text(to_yaml(config))
    (tmp_path / "status.json").write_text(json.dumps(status))
    with pytest.raises(
        CheckpointError, match=r"a run folder of format 1; this hpcli reads format 3\..*new run"
    ) as found:
        Run.open(tmp_path)
    assert str(found.value).startswith(f"{tmp_path}: ")
    assert found.value.exit_code == 4
    assert "\n" not in str(found.value)
    with pytest.raises(CheckpointError, match="format 1"):
        DiskRecorder.reopen("train", tmp_path, config)
    (tmp_path / "status.json").unlink()
    with pytest.raises(CheckpointError, match=r"format 1, or none of hpcli's: it has no status\.json"):
        Run.open(tmp_path)


def test_a_run_that_an_older_hpcli_began_is_read_and_gone_on_with(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of format 2, in which steps had no `grad_norm`."""
    config = with_overrides(config, {"train.clip_norm": 1.0})

    def early(kind: type[Row]) -> tuple[Column, ...]:
        return tuple(column for column in columns_of(kind) if not column.late)

    with monkeypatch.context() as older:
        older.setattr(csv_text, "columns_of", early)
        older.setattr(csv_text, "cells", lambda row: tuple(getattr(row, each.field) for each in early(type(row))))
        older.setattr(status, "FORMAT", 2)
        trained(tmp_path / "run", config, Interrupted)
    csv_text._lacking.cache_clear()
    assert json.loads((tmp_path / "run/status.json").read_text())["format"] == 2
    assert (tmp_path / "run/steps.csv").read_text().startswith("step,lr,momentum,train_loss\n")
    begun = Run.open(tmp_path / "run")
    assert (begun.status, begun.rows(Step)[0].grad_norm) == (RunStatus.INTERRUPTED, None)
    with DiskRecorder.reopen("train", tmp_path / "run", config) as recorder:
        result = train(config, recorder=recorder, device="cpu")
        recorder.finish(result.status, result.summary())
    whole = trained(tmp_path / "whole", config)
    assert (result.valid_loss, result.gradients) == (whole.valid_loss, None)
    assert whole.gradients is not None
    lines = [(tmp_path / name / "steps.csv").read_text().splitlines() for name in ("run", "whole")]
    assert lines[0] == [line.rpartition(",")[0] for line in lines[1]]
    assert Run.open(tmp_path / "run").result.summary() == result.summary()


def test_a_folder_of_a_later_format_is_refused_by_name(config: Config, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(to_yaml(config))
    (tmp_path / "status.json").write_text('{"format": 4, "status": "finished", "command": "train"}')
    with pytest.raises(CheckpointError, match="a run folder of format 4; this hpcli reads format 3"):
        Run.open(tmp_path)


def test_what_is_no_run_folder_is_a_usage_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for name in ("", "file"):
        with pytest.raises(UsageError, match=r"not a run folder \(it has no config\.yaml\)"):
            Run.open(tmp_path / name)
    with pytest.raises(UsageError, match=r"gone: no such run folder; hpcli runs DIR lists those in a folder"):
        Run.open(tmp_path / "gone")


@pytest.mark.parametrize(
    "junk",
    [
        "", "{", "[]", "null", "7", '{"format": 2}', '{"format": 2, "status": "finished"}',
        '{"format": 2, "status": "sleeping", "command": "train", "exit_code": 0, "step": 1, "seconds": 1}',
    ],
)  # fmt: skip
def test_a_damaged_status_is_an_error_that_names_the_file(config: Config, tmp_path: Path, junk: str) -> None:
    (tmp_path / "config.yaml").write_text(to_yaml(config))
    (tmp_path / "status.json").write_text(junk)
    with pytest.raises(CheckpointError, match=r"status\.json: damaged .*; restore it, or start anew") as found:
        Run.open(tmp_path)
    assert "\n" not in str(found.value)


def test_damage_elsewhere_is_an_error_where_it_is_read(config: Config, tmp_path: Path) -> None:
    trained(tmp_path / "run", config)
    (tmp_path / "run/summary.json").write_text("{")
    (tmp_path / "run/steps.csv").write_text("step,lr,momentum,train_loss\n0,0.1,0.9,much\n")
    (tmp_path / "run/checkpoints/epoch-0002.pt").write_bytes(b"")
    (tmp_path / "run/environment.json").unlink()
    run = Run.open(tmp_path / "run")
    assert run.rows(Epoch) != []
    assert run.environment == {}
    with pytest.raises(CheckpointError, match=r"summary\.json: damaged .*--resume writes it anew"):
        _ = run.summary
    with pytest.raises(CheckpointError, match=r"steps\.csv:2: train_loss: 'much' is not of type float"):
        _ = run.result
    with pytest.raises(CheckpointError, match=r"epoch-0002\.pt: damaged"):
        run.weights()
    (tmp_path / "run/config.yaml").write_text("data: 3\n")
    with pytest.raises(CheckpointError, match=r"config\.yaml: damaged .*config\.yaml:1:1: data: must be a section"):
        _ = Run.open(tmp_path / "run").config


@pytest.mark.parametrize("junk", ["", "{", "7", "null", "[1]"])
def test_a_damaged_environment_is_an_error_that_names_the_file(config: Config, tmp_path: Path, junk: str) -> None:
    with DiskRecorder.create("train", config, tmp_path / "run"):
        pass
    (tmp_path / "run/environment.json").write_text(junk)
    with pytest.raises(CheckpointError, match=r"environment\.json: damaged"):
        _ = Run.open(tmp_path / "run").environment


def test_the_best_weights_are_those_of_the_epoch_with_the_lowest_loss(uneven: Config, tmp_path: Path) -> None:
    """That `metrics.csv` names: measured again they have that loss, and no others have."""
    result = trained(tmp_path / "run", uneven)
    run = Run.open(tmp_path / "run")
    epochs = run.rows(Epoch)
    best = min(epochs, key=lambda epoch: epoch.valid_loss)
    assert best.epoch == result.best_epoch
    assert 0 < best.epoch < len(epochs) - 1
    trainer = Trainer.from_config(uneven, device="cpu")
    for label, epoch in (("best", best), ("last", epochs[-1]), ("epoch-0003", epochs[3]), ("epoch-0005", epochs[5])):
        trainer.load_weights(run.weights(label))
        assert trainer.evaluate("valid").loss == epoch.valid_loss
        other = load_weights(f"{run.path}:{label}")
        assert all(torch.equal(tensor, other[name]) for name, tensor in run.weights(label).items())


@pytest.mark.parametrize("after", [2, 4, 7, 14])
def test_the_best_of_a_run_that_was_interrupted_is_that_of_all_of_it(
    uneven: Config, tmp_path: Path, after: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before, at and after the best epoch; saves cost much, so that only the best and the asked for are made."""
    monkeypatch.setattr("hpcli.recording.checkpoints.SHARE_OF_TIME", 1e9)
    monkeypatch.setattr(Interrupted, "after", after)
    trained(tmp_path / "run", uneven, Interrupted)
    with Interrupted.reopen("train", tmp_path / "run", uneven) as recorder:
        result = train(uneven, recorder=recorder, device="cpu")
        recorder.finish(result.status, result.summary())
    run = Run.open(tmp_path / "run")
    epochs = run.rows(Epoch)
    assert len(epochs) == 6
    assert result.best_epoch == 1
    assert "It was lowest after 2 epochs, " in str(
        replace(result, reestimated=None).summary()["sentence"]
    )  # as the picture's axis counts
    trainer = Trainer.from_config(uneven, device="cpu")
    trainer.load_weights(run.weights("best"))
    assert trainer.evaluate("valid").loss == epochs[1].valid_loss == min(epoch.valid_loss for epoch in epochs)


def test_weights_have_labels_and_files(config: Config, tmp_path: Path) -> None:
    config = with_overrides(config, {"schedule.cycles": 3, "train.epochs": 3, "train.checkpoint_epochs": [1]})
    trained(tmp_path / "run", config)
    run = Run.open(tmp_path / "run")
    last = run.weights()
    digests = {
        label: [float(tensor.double().sum()) for tensor in run.weights(label).values()]
        for label in ("last", "epoch-0001", "epoch-0002", "cycle-0", "cycle-1", "cycle-2", "best",
                      "checkpoints/epoch-0001.pt", "model.safetensors")
    }  # fmt: skip
    ends = [float(tensor.double().sum()) for tensor in last.values()]
    assert digests["last"] == digests["epoch-0002"] == digests["cycle-2"] == ends
    assert digests["epoch-0001"] == digests["cycle-1"] == digests["checkpoints/epoch-0001.pt"] != ends
    assert digests["cycle-0"] not in (digests["cycle-1"], ends)
    assert sorted(digests["model.safetensors"]) == sorted(ends)
    with pytest.raises(CheckpointError, match=r"no checkpoint epoch-0007; it has best, last, .*epoch-0001"):
        run.weights("epoch-0007")
    with pytest.raises(CheckpointError, match=r"no checkpoint bset; it has best, last, "):
        run.weights("bset")


def test_the_runs_within_a_sweep_are_runs(config: Config, tmp_path: Path) -> None:
    config = with_overrides(config, {"sweep.values": {"optimizer.weight_decay": [1e-4, 1e-1]}, "sweep.seeds": 2})
    with DiskRecorder.create("sweep", config, tmp_path / "run") as recorder:
        result = sweep(config, recorder=recorder, device="cpu")
        recorder.finish(result.status, result.summary())
    run = Run.open(tmp_path / "run")
    trials = run.rows(SweepTrial)
    assert set(run.children) == {trial.trial for trial in trials}
    assert len(trials) == 4
    for trial in trials:
        child = run.children[trial.trial]
        assert (child.status, child.command) == (RunStatus.FINISHED, "train")
        assert isinstance(child.result, TrainResult)
        assert child.result.valid_loss == trial.valid_loss
        assert child.config.seed == trial.seed
        assert Run.open(child.path).result.summary() == child.result.summary()
        assert child.children == {}
        with pytest.raises(CheckpointError, match="no checkpoint last"):  # trials keep none
            child.weights()
    assert isinstance(run.result, SweepResult)
    assert json.dumps(run.result.summary(), default=str) == json.dumps(result.summary(), default=str)


def test_runs_in_a_folder_come_oldest_first(config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The link to the newest is no run of its own, and what is no run is left out."""
    monkeypatch.chdir(tmp_path)
    for n in range(3):
        path = DiskRecorder.create("train", with_overrides(config, {"seed": n})).path
        os.utime(path, (1000 - n, 1000 - n))
    (tmp_path / "runs/mine").mkdir()
    (tmp_path / "runs/notes.txt").write_text("mine")
    assert (tmp_path / "runs/latest").is_symlink()
    assert [run.config.seed for run in find_runs("runs")] == [2, 1, 0]
    assert find_runs(tmp_path / "nowhere") == []


@pytest.mark.parametrize("command", COMMANDS)
def test_a_run_of_every_command_opens_before_it_has_written_a_row(config: Config, tmp_path: Path, command: str) -> None:
    values = {"optimizer.weight_decay": [1e-4, 1e-2]}
    config = with_overrides(config, {"sweep.values": values, "sweep.seeds": 2})
    DiskRecorder.create(command, config, tmp_path / "run")
    run = Run.open(tmp_path / "run")
    assert (run.command, run.status) == (command, RunStatus.CRASHED)
    assert run.result.status == RunStatus.CRASHED
    assert type(run.result).__name__ == COMMANDS[command].result
    assert run.result.summary() is not None


def test_what_memory_recorded_is_read_like_a_folder(config: Config, tmp_path: Path) -> None:
    memory = MemoryRecorder(config)
    result = train(config, recorder=memory, device="cpu")
    memory.finish(result.status, result.summary())
    assert same(TrainResult.from_run(memory), result)
