"""A sweep where losses are given instead of trained: what stays of it when it is gone on with."""

from __future__ import annotations

import contextlib
import math
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, cast

import numpy as np
import pytest

import hpcli.experiments.sweep as module
from hpcli import Config, MemoryRecorder, SweepResult, load_config, sweep, with_overrides
from hpcli.data.dataset import Splits, load_splits
from hpcli.recording.progress import OnProgress
from hpcli.results.looks import SweepLook
from hpcli.results.train import TrainResult
from hpcli.results.trials import SweepTrial
from hpcli.states import RunStatus
from hpcli.trials.executor import Outcome
from hpcli.trials.spec import Spec

DECAY = "optimizer.weight_decay"


@pytest.fixture(scope="module")
def base() -> Config:
    keys = {"data.name": "digits", "data.batch_size": 32, "data.steps_per_epoch": 5, "model.name": "shallow3"}
    return load_config(overrides={**keys, "train.epochs": 1, "sweep.epochs": 1})


@pytest.fixture(scope="module")
def splits(base: Config) -> Splits:
    return load_splits(base)


class Given:
    """Sweeps with losses of a function of config and seed."""

    at_once = 1

    def __init__(self, splits: Splits, monkeypatch: pytest.MonkeyPatch) -> None:
        self.splits = splits
        monkeypatch.setattr(module, "executor_for", lambda *_, **__: contextlib.nullcontext(self))

    def run(self, specs: Sequence[Spec], on_progress: OnProgress) -> Iterator[Outcome]:
        for spec in specs:
            loss = self.loss(spec.config, spec.seed)
            result = types.SimpleNamespace(
                judged=(loss, 0.5, None), valid_loss=loss, reestimated=None, status=RunStatus.FINISHED,
                epochs={"valid_loss": [loss]}, weight_norms=[], reused=False,
            )  # fmt: skip
            yield Outcome(spec, RunStatus.FINISHED, cast(TrainResult, result), 1.0)

    def sweep(self, loss: Callable[[Config, int], float], config: Config, recorder: MemoryRecorder) -> SweepResult:
        self.loss = loss
        return sweep(config, recorder=recorder, splits=self.splits)


@pytest.fixture
def given(splits: Splits, monkeypatch: pytest.MonkeyPatch) -> Given:
    return Given(splits, monkeypatch)


def bowl(world: int, noise: float) -> Callable[[Config, int], float]:
    def loss(config: Config, seed: int) -> float:
        decay = config.optimizer.weight_decay
        draw = np.random.default_rng([world, seed, int(1e9 * decay)]).normal()
        return float(np.exp(-1 + 0.05 * (math.log10(decay) + 2.3) ** 2 + noise * draw))

    return loss


def rows(recorder: MemoryRecorder) -> set[tuple[str, int]]:
    return {(trial.value, trial.seed) for trial in recorder.rows(SweepTrial)}


@pytest.mark.parametrize("world", range(6))
def test_a_refined_sweep_keeps_its_values_with_more_seeds(given: Given, base: Config, world: int) -> None:
    """Other seeds refine other values; what is trained stays beside them."""
    decays = [1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0]
    config = with_overrides(base, {"sweep.seeds": 3, "sweep.refine": True, "sweep.values": {DECAY: decays}})
    recorder = MemoryRecorder(config)
    given.sweep(bowl(world, 0.03), config, recorder)
    before = rows(recorder)
    more = given.sweep(bowl(world, 0.03), with_overrides(config, {"sweep.seeds": 4}), recorder)
    assert before < rows(recorder)
    values = [setting.values[0] for setting in more.settings]
    assert values == sorted(cast(list[float], values))
    assert len({seed for _, seed in rows(recorder)}) == 4


class StoppedError(Exception):
    """The process ends."""


@pytest.mark.parametrize("seeds", [3, "auto"])
@pytest.mark.parametrize("stop_at", [None, 4, 11, 15, 23, 31])
@pytest.mark.parametrize(("world", "noise"), [(0, 0.02), (2, 0.03), (1, 0.01)])
def test_until_decided_ends_the_same_however_it_was_stopped(
    given: Given, base: Config, world: int, noise: float, stop_at: int | None, seeds: object
) -> None:
    """Stopped anywhere and gone on with, or over and gone through again: the same looks, runs and words."""
    keys = {"sweep.until_decided": True, "sweep.seeds": seeds, "sweep.max_seeds": 12}
    config = with_overrides(base, {**keys, "sweep.values": {DECAY: [1e-4, 1e-2, 1.0]}})
    whole = MemoryRecorder(config)
    first = given.sweep(bowl(world, noise), config, whole)
    recorder, runs = MemoryRecorder(config), 0

    def stopping(own: Config, seed: int) -> float:
        nonlocal runs
        runs += 1
        if runs == stop_at:
            raise StoppedError
        return bowl(world, noise)(own, seed)

    with contextlib.suppress(StoppedError):
        given.sweep(stopping, config, recorder)
    for _ in range(2):
        again = given.sweep(bowl(world, noise), config, recorder)
        assert recorder.rows(SweepLook) == whole.rows(SweepLook)
        assert rows(recorder) == rows(whole)
        assert again.summary()["sentence"] == first.summary()["sentence"]


def test_more_seeds_until_decided_are_another_plan(given: Given, base: Config) -> None:
    keys = {"sweep.until_decided": True, "sweep.seeds": 3, "sweep.max_seeds": 6}
    config = with_overrides(base, {**keys, "sweep.values": {DECAY: [1e-4, 1e-2, 1.0]}})
    recorder = MemoryRecorder(config)
    given.sweep(bowl(0, 0.5), config, recorder)
    given.sweep(bowl(0, 0.5), with_overrides(config, {"sweep.max_seeds": 12}), recorder)
    looks = [(look.plan, look.seeds) for look in recorder.rows(SweepLook)]
    assert looks[:3] == [(1, 3), (1, 4), (1, 6)]
    assert looks[3:] == [(2, 9), (2, 12)]  # what was looked at before is not looked at again


@pytest.mark.parametrize(
    "keys",
    [
        {"sweep.values": {DECAY: [1e-4, 1e-2]}, "sweep.seeds": 4},
        {
            "sweep.values": {DECAY: [1e-4, 1.0], "data.augment": ["none", "standard"]},
            "sweep.points": 8,
            "sweep.seeds": 2,
        },
    ],
)
def test_fewer_are_no_less_than_there_are(given: Given, base: Config, keys: Mapping[str, Any]) -> None:
    config = with_overrides(base, keys)
    recorder = MemoryRecorder(config)
    first = given.sweep(bowl(0, 0.03), config, recorder)
    before = rows(recorder)
    fewer = {"sweep.points": 4} if "sweep.points" in keys else {"sweep.seeds": 2}
    again = given.sweep(bowl(0, 0.03), with_overrides(config, fewer), recorder)
    assert rows(recorder) == before
    assert again.looks == first.looks
    assert again.chosen == first.chosen
