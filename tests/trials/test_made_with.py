"""Trials and runs know what they were computed with, and a mixture is said."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest
import torch

from hpcli.config import Config, with_overrides
from hpcli.config.varying import settings
from hpcli.errors import HpcliWarning
from hpcli.experiments.train import train
from hpcli.recording.csv_text import read_rows
from hpcli.recording.memory import MemoryRecorder
from hpcli.recording.progress import silent
from hpcli.results.made_with import MadeWith
from hpcli.training.numerics import Numerics
from hpcli.trials.made_with import made_with, record_made_with
from hpcli.trials.serial import SerialExecutor
from hpcli.trials.spec import Spec
from hpcli.trials.trainers import Trainers


@pytest.fixture
def short(config: Config) -> Config:
    values = {"optimizer.weight_decay": [1e-4, 1]}
    return with_overrides(config, {"data.train_fraction": 0.1, "sweep.epochs": 1, "sweep.values": values})


def test_a_run_says_what_it_was_made_with(short: Config) -> None:
    recorder = MemoryRecorder()
    train(with_overrides(short, {"train.epochs": 1}), recorder=recorder, device="cpu")
    assert recorder.rows(MadeWith) == [MadeWith(0, "cpu", "fp32", 1, torch.__version__, 1)]


@pytest.mark.parametrize(
    ("numerics", "said"),
    [
        (Numerics(torch.device("cuda"), torch.bfloat16), "cuda, bf16"),
        (Numerics(torch.device("cuda"), None, "tf32"), "cuda, tf32"),
        (Numerics(torch.device("cuda"), None, "ieee"), "cuda, fp32"),
        (Numerics(torch.device("cpu")), "cpu, fp32, 1 thread"),
    ],
)
def test_precision_is_the_resolved_one(numerics: Numerics, said: str) -> None:
    assert str(made_with(numerics)) == said


def test_processes_that_train_together_are_another_kind() -> None:
    two = made_with(Numerics(torch.device("cuda"), torch.bfloat16), 0, 2)
    assert str(two) == "cuda, bf16, 2 processes"
    assert two.kind != made_with(Numerics(torch.device("cuda"), torch.bfloat16)).kind


def test_a_sweep_of_mixed_trials_says_so_once(short: Config) -> None:
    recorder, trainers = MemoryRecorder(), Trainers(short, device="cpu")
    specs = [Spec.of(setting, seed) for seed in (0, 1) for setting in settings(short)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        list(SerialExecutor(recorder, trainers).run(specs[:1], silent))
        list(SerialExecutor(recorder, trainers).run(specs[:2], silent))
    torch.set_num_threads(2)
    with pytest.warns(HpcliWarning, match="made with cpu, fp32, 1 thread, others with cpu, fp32, 2 threads") as said:
        list(SerialExecutor(recorder, trainers).run(specs, silent))
    assert len(said) == 1


def test_a_run_that_goes_on_with_something_else_says_so() -> None:
    recorder = MemoryRecorder()
    record_made_with(recorder, MadeWith(0, "cpu", "fp32", 2, "2.13"))
    record_made_with(recorder, MadeWith(5, "cpu", "fp32", 2, "2.13"))
    with pytest.warns(HpcliWarning, match="begun with cpu, fp32, 2 threads, goes on with cuda, bf16"):
        record_made_with(recorder, MadeWith(9, "cuda", "bf16", 4, "2.13"))
    assert [each.from_step for each in recorder.rows(MadeWith)] == [0, 9]


def test_a_run_that_an_older_hpcli_began_goes_on(tmp_path: Path) -> None:
    (tmp_path / "made_with.csv").write_text("from_step,device,precision,threads,torch\n0,cpu,fp32,1,2.13\n")
    (old,) = read_rows(tmp_path / "made_with.csv", MadeWith)
    assert (old.processes, str(old)) == (None, "cpu, fp32, 1 thread")
    assert old.kind == MadeWith(7, "cpu", "fp32", 1, "2.14", 1).kind
