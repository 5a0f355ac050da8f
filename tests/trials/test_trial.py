"""A trial as it is sent, run and read back."""

from __future__ import annotations

import multiprocessing
import pickle
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch import nn

from hpcli import catalog
from hpcli.config import Config, with_overrides
from hpcli.config.varying import Setting, identity, settings
from hpcli.errors import ConfigError
from hpcli.recording.disk import DiskRecorder
from hpcli.recording.folder import Folder
from hpcli.recording.memory import MemoryRecorder
from hpcli.recording.recorder import ChildRecorder
from hpcli.results.train import Step, TrainResult
from hpcli.states import RunStatus
from hpcli.training.trainer import Trainer
from hpcli.trials import run
from hpcli.trials.run import run_trial
from hpcli.trials.spec import Spec


@pytest.fixture
def setting(config: Config) -> Setting:
    values = {"optimizer.weight_decay": [1e-3]}
    (setting,) = settings(with_overrides(config, {"sweep.epochs": 2, "sweep.values": values}))
    return setting


@pytest.fixture
def spec(setting: Setting) -> Spec:
    return Spec.of(setting, 3)


def numbers(result: TrainResult) -> str:
    """All that a training run comes to, but for the clock; as text, because NaN is not itself."""
    steps = {name: each.tolist() for name, each in result.steps.items()}
    epochs = {name: each.tolist() for name, each in result.epochs.items() if name != "seconds"}
    return repr((result.status, steps, epochs, result.weight_norms, result.test, result.summary()))


def test_a_spec_says_all_of_its_run(setting: Setting, spec: Spec) -> None:
    assert (spec.name, spec.seed) == ("1e-3", 3)
    assert spec.config == setting.run(3)
    assert (spec.config.seed, spec.config.train.epochs, spec.config.optimizer.weight_decay) == (3, 2, 1e-3)
    assert spec.key == identity(spec.config, "1e-3")
    assert spec.key.startswith("1e-3-seed-3-")
    assert Spec.of(setting, 4).key != spec.key
    assert Spec.of(setting, 3) == spec


def test_a_spec_survives_a_pickle(spec: Spec) -> None:
    again = pickle.loads(pickle.dumps(spec))
    assert again == spec
    assert again.config.schedule.momentum == spec.config.schedule.momentum
    assert identity(again.config, again.name) == spec.key


def test_a_spawned_process_gives_the_same_numbers_to_the_bit(spec: Spec) -> None:
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, spawn, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        assert pool.submit(torch.get_num_threads).result() == torch.get_num_threads() == 1
        there = pool.submit(run_trial, spec, MemoryRecorder(spec.config), device="cpu").result()
    here = run_trial(spec, MemoryRecorder(spec.config), device="cpu")
    assert there.valid_loss is not None
    assert there.valid_loss == here.valid_loss
    assert numbers(there) == numbers(here)
    assert (there.config, there.data) == (here.config, here.data)


def no_trainer(*_: object, **__: object) -> Trainer:
    raise AssertionError("a trainer was built")


@pytest.mark.parametrize("max_lr", [1e-2, 1e30])
def test_a_trial_that_is_over_is_read_back_from_memory(
    setting: Setting, max_lr: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = with_overrides(setting.config, {"schedule.max_lr": max_lr, "optimizer.name": "sgd"})
    spec = Spec.of(Setting(setting.name, setting.values, own), 0)
    recorder = MemoryRecorder(spec.config)
    first = run_trial(spec, recorder)
    assert first.status == recorder.status == (RunStatus.DIVERGED if max_lr > 1 else RunStatus.FINISHED)
    rows = {kind: list(each) for kind, each in recorder.tables.items()}
    monkeypatch.setattr(run, "new_trainer", no_trainer)
    again = run_trial(spec, recorder)
    assert recorder.tables == rows
    assert numbers(again) == numbers(first)
    assert (again.config, again.data) == (first.config, first.data)


def test_a_trial_that_is_over_is_read_back_from_its_folder(
    spec: Spec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    around = DiskRecorder.create("sweep", spec.config, tmp_path / "sweep")
    with around, around.child(spec.key, spec.config) as own:
        first = run_trial(spec, own)
    folder = tmp_path / "sweep/trials" / spec.key
    seconds = Folder(folder).seconds
    before = {file.name: file.read_bytes() for file in folder.glob("*.csv")}
    assert {"steps.csv", "metrics.csv", "weight_norms.csv", "classes.csv"} <= before.keys()
    monkeypatch.setattr(run, "new_trainer", no_trainer)
    around = DiskRecorder.reopen("sweep", tmp_path / "sweep", spec.config, again=True)
    with around, around.child(spec.key, spec.config) as own:
        again = run_trial(spec, own)
        assert own.seconds == seconds
    assert numbers(again) == numbers(first)
    assert {file.name: file.read_bytes() for file in folder.glob("*.csv")} == before
    assert Folder(folder).status == RunStatus.FINISHED


def test_an_interrupted_trial_goes_on_in_its_folder(spec: Spec, tmp_path: Path) -> None:
    whole = run_trial(spec, MemoryRecorder(spec.config))
    around = DiskRecorder.create("sweep", spec.config, tmp_path / "sweep")
    with around, around.child(spec.key, spec.config) as own:
        stopped = run_trial(spec, stopping(own, after=9))
    assert stopped.status == RunStatus.INTERRUPTED
    assert Folder(tmp_path / "sweep/trials" / spec.key).status == RunStatus.INTERRUPTED
    assert stopped.steps["step"].tolist() == list(range(10))
    around = DiskRecorder.reopen("sweep", tmp_path / "sweep", spec.config, again=True)
    with around, around.child(spec.key, spec.config) as own:
        assert numbers(run_trial(spec, own)) == numbers(whole)


def stopping(own: ChildRecorder, *, after: int) -> ChildRecorder:
    """The recorder, which asks to stop once so many steps are written."""

    def should_stop() -> bool:
        return len(own.rows(Step)) >= after

    own.should_stop = should_stop  # type: ignore[method-assign]
    return own


def test_code_of_ones_own_that_was_allowed_is_allowed_where_the_trial_runs(
    setting: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = ModuleType("mine_of_trials")
    module.__dict__["net"] = lambda num_classes: nn.Sequential(nn.Flatten(), nn.Linear(64, num_classes))
    monkeypatch.setitem(sys.modules, module.__name__, module)
    own = Setting(setting.name, setting.values, with_overrides(setting.config, {"model.name": "mine_of_trials:net"}))
    monkeypatch.setattr(catalog, "allowed_code", {"mine_of_trials:net"})
    spec = Spec.of(own, 0)
    assert spec.allowed_code == ("mine_of_trials:net",)
    monkeypatch.setattr(catalog, "allowed_code", set())  # as in a process that has just begun
    assert run_trial(spec, MemoryRecorder(spec.config)).status == RunStatus.FINISHED
    monkeypatch.setattr(catalog, "allowed_code", set())
    bare = Spec(spec.key, spec.name, spec.seed, spec.config)
    with pytest.raises(ConfigError, match="--allow-code"):
        run_trial(bare, MemoryRecorder(spec.config))
