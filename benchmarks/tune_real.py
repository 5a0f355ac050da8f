#!/usr/bin/env python3
"""`tune` against random search and Optuna's TPE, for real: every run is trained, at equal training steps.

    python benchmarks/tune_real.py --task digits-resnet --reps 0:10 --out results.csv

A repetition has its own held-out images and seeds. What a method chooses, and the present config, are trained with six
fresh seeds that all share, and measured on test images that nothing has seen. Takes an hour for ten repetitions.
"""

from __future__ import annotations

import argparse
import csv
import dataclasses
import math
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from hpcli import Config, MemoryRecorder, RunStatus, Trainer, load_config, train, tune, with_overrides
from hpcli.config.alphas import BN_IMAGES
from hpcli.config.space import Dimension, space
from hpcli.data.dataset import Splits, load_splits
from hpcli.results.searched import LOST

DIGITS = {"data.name": "digits", "data.batch_size": 32, "data.validation": 0.3}
TASKS = {
    "digits-shallow": ({**DIGITS, "model.name": "shallow3", "data.train_fraction": 0.36}, 120),
    "digits-resnet": ({**DIGITS, "model.name": "resnet20", "model.options": {"num_blocks": [1, 1, 1]}}, 90),
}
"""Name → keys, and steps of a run."""
FINALS = 6


def config_of(task: str, rep: int, runs: int) -> Config:
    """The config of a repetition: its own split and seeds."""
    keys, steps = TASKS[task]
    length = {"data.steps_per_epoch": steps, "train.epochs": 1, "sweep.epochs": 1, "tune.epochs": 1}
    own = {
        "tune.runs": runs,
        "tune.until": "verdict",
        "data.split_seed": rep,
        "seed": 100_000 + 10_000 * rep,
    }
    return load_config(overrides={**keys, **length, **own})


class Runs:
    """Trains settings of one repetition."""

    def __init__(self, config: Config, splits: Splits, device: str) -> None:
        self.config, self.splits, self.device = config, splits, device
        self.space, self.steps = space(config), 0
        self._trainers: dict[bool, Trainer] = {}

    def loss(self, values: dict[str, object], seed: int) -> float:
        """Log of the validation loss, as `tune` counts it."""
        return self._train(values, seed, final=False)[0]

    def _train(self, values: dict[str, object], seed: int, *, final: bool) -> tuple[float, float]:
        config = with_overrides(self.config, {**values, "seed": self.config.seed + seed})
        splits = self.splits if final else dataclasses.replace(self.splits, test=None)
        if final not in self._trainers:
            self._trainers[final] = Trainer.from_config(config, device=self.device, splits=splits)
        trainer = self._trainers[final]
        trainer.optimizer.set_weight_decay(config.optimizer.weight_decay)
        trainer.reset(config.seed)
        result = train(config, trainer=trainer, recorder=MemoryRecorder())
        self.steps += len(result.steps["train_loss"])
        most, loss = LOST * math.log(10), result.judged[0]
        if result.status != RunStatus.FINISHED or loss is None or not math.isfinite(loss):
            return math.log(most), math.log(most)
        if not final:
            return math.log(min(loss, most)), math.nan
        on_test = trainer.evaluate("test", bn_images=BN_IMAGES if result.reestimated else None).loss
        return math.log(min(loss, most)), math.log(min(on_test, most))

    def final(self, values: dict[str, object]) -> tuple[float, float]:
        """Mean log validation and test loss over fresh seeds."""
        losses = np.array([self._train(values, 5000 + seed, final=True) for seed in range(FINALS)])
        valid, on_test = losses.mean(0)
        return float(valid), float(on_test)


def values_at(dimensions: tuple[Dimension, ...], point: np.ndarray) -> dict[str, object]:
    """Key → value at a point."""
    return {each.key: each.value(float(place)) for each, place in zip(dimensions, point, strict=True)}


def random_search(runs: Runs, count: int, rng: np.random.Generator) -> dict[str, object]:
    """The lowest loss of so many settings, each with a seed of its own."""
    points = rng.random((count, len(runs.space)))
    losses = [runs.loss(values_at(runs.space, point), seed) for seed, point in enumerate(points)]
    return values_at(runs.space, points[int(np.argmin(losses))])


def tpe(runs: Runs, count: int, rng: np.random.Generator) -> dict[str, object]:
    """Optuna's default sampler."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=int(rng.integers(2**31))))
    for seed in range(count):
        trial = study.ask()
        point = np.array([trial.suggest_float(each.key, 0, 1) for each in runs.space])
        study.tell(trial, runs.loss(values_at(runs.space, point), seed))
    return values_at(runs.space, np.array([study.best_trial.params[each.key] for each in runs.space]))


def ours(runs: Runs, count: int, rng: np.random.Generator) -> dict[str, object]:
    """`hpcli tune` as it is, the verdict within the budget."""
    config = with_overrides(runs.config, {"tune.runs": count})
    result = tune(config, splits=dataclasses.replace(runs.splits, test=None), device=runs.device)
    assert result.plan is not None
    trained = [trial for trial in (*result.trials, *result.fresh) if trial.has_ended]
    runs.steps += result.plan.range_steps + result.plan.steps * len(trained)
    chosen: dict[str, object] = dict(result.choice or result.present)
    return chosen


METHODS: dict[str, Callable[[Runs, int, np.random.Generator], dict[str, object]]] = {
    "tune": ours,
    "random": random_search,
    "TPE": tpe,
}


def main() -> None:
    """Repeat, a row for each method."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", choices=TASKS, required=True)
    parser.add_argument("--runs", type=int, default=24)
    parser.add_argument("--reps", default="0:10")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    torch.set_num_threads(1)
    first, last = map(int, given.reps.split(":"))
    with given.out.open("w", newline="") as file:
        out = csv.writer(file)
        out.writerow(("task", "runs", "rep", "method", "max_lr", "momentum", "weight_decay", "steps", "valid", "test"))
        for rep in range(first, last):
            config = config_of(given.task, rep, given.runs)
            splits = load_splits(config)
            present = dict(zip((each.key for each in space(config)), (0.01, "0.95-0.85", 0.01), strict=True))
            for name, method in {"present": None, **{each: METHODS[each] for each in given.methods}}.items():
                runs = Runs(config, splits, given.device)
                rng = np.random.default_rng([rep, zlib.crc32(given.task.encode()), given.runs])
                chosen = present if method is None else method(runs, given.runs, rng)
                steps = runs.steps
                valid, on_test = runs.final(chosen)
                row = [given.task, given.runs, rep, name, *chosen.values(), steps, f"{valid:.5f}", f"{on_test:.5f}"]
                out.writerow(row)
                file.flush()
                print(*row, flush=True)


if __name__ == "__main__":
    main()
