"""Real training runs, sound ones and ailing ones, for `analysis/diagnosis.py` to be tried on.

    python benchmarks/diagnosis.py DIR [NAME…]

writes `epochs.csv` (a row an epoch) and `steps.csv` (a row a run: the losses of its batches) of every kind of run named.
What is sound is decided by settings, and by a criterion in the test that reads the files: not by the diagnosis.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Mapping
from pathlib import Path

from hpcli.config import load_config
from hpcli.data.dataset import load_splits
from hpcli.experiments.train import train

SMALL = {"model.options.num_blocks": [1, 1, 1]}
BARE = {**SMALL, "data.augment": "none", "model.options.dropout": [0.0, 0.0]}
SGD = {"optimizer.name": "sgd", "optimizer.decay": "coupled", "optimizer.weight_decay": 1e-4}
CONSTANT = {"schedule.name": "constant", "schedule.momentum": 0.9}
STEPS = {"schedule.name": "piecewise", "schedule.momentum": 0.9}
FEW = {"data.train_fraction": 0.1, "data.batch_size": 16}
Keys = Mapping[str, object]

SOUND: dict[str, Keys] = {  # settings that range tests and the shipped config recommend for the digits
    "small": SMALL,
    "small, half the learning rate": {**SMALL, "schedule.max_lr": 5e-3, "train.epochs": 8},
    "small, 3e-3": {**SMALL, "schedule.max_lr": 3e-3, "train.epochs": 8},
    "small, no augmentation": {**SMALL, "data.augment": "none"},
    "small, no dropout": {**SMALL, "model.options.dropout": [0.0, 0.0], "train.epochs": 6},
    "small, SGD": {**SMALL, **SGD, "schedule.max_lr": 0.2},
    "small, batch of 32": {**SMALL, "data.batch_size": 32, "schedule.max_lr": 5e-3, "train.epochs": 6},
    "small, steps down": {**SMALL, **STEPS, "schedule.max_lr": 5e-3, "train.epochs": 8},
    "shallow": {"model.name": "shallow3", "schedule.max_lr": 3e-3, "train.epochs": 12},
    "shallow, 20 epochs": {"model.name": "shallow3", "schedule.max_lr": 3e-3, "train.epochs": 20},
    "ResNet-20, the default": {},
}
AILING: dict[str, Keys] = {
    "learning rate far too high": {**SMALL, "schedule.max_lr": 1.0},
    "learning rate too high, SGD": {**SMALL, **SGD, "schedule.max_lr": 10.0},
    "learning rate too high, shallow": {"model.name": "shallow3", "schedule.max_lr": 0.1, "train.epochs": 15},
    "diverged": {"model.name": "shallow3", **SGD, "schedule.max_lr": 1e3, "schedule.momentum": 0.9},
    "learning rate too low": {**SMALL, "schedule.max_lr": 1e-4},
    "learning rate far too low": {**SMALL, "schedule.max_lr": 1e-5},
    "learning rate too low, shallow": {"model.name": "shallow3", "schedule.max_lr": 5e-5, "train.epochs": 15},
    "learning rate not annealed": {**SMALL, **CONSTANT, "schedule.max_lr": 0.03, "train.epochs": 20},
    "constant and too low": {**SMALL, **CONSTANT, "schedule.max_lr": 1e-4},
    "few images, no regularisation": {
        **BARE, **FEW, "optimizer.weight_decay": 0.0, **CONSTANT, "schedule.max_lr": 3e-3,
        "train.epochs": 60,
    },
    "few images, shallow": {
        "model.name": "shallow3", **FEW, "data.augment": "none", "optimizer.weight_decay": 0.0,
        **CONSTANT, "schedule.max_lr": 3e-3, "train.epochs": 60,
    },
    "dropout of a half": {**SMALL, "model.options.dropout": [0.5, 0.5]},
    "dropout of .8": {**SMALL, "model.options.dropout": [0.8, 0.8]},
    "weight decay too large": {**SMALL, "optimizer.weight_decay": 10.0},
    "few steps for BatchNorm": {**SMALL, "train.epochs": 2, **CONSTANT, "schedule.max_lr": 5e-3},
    "slow BatchNorm": {**SMALL, "model.bn_momentum": 0.01},
    "two epochs": {**SMALL, "train.epochs": 2},
    "three epochs at one learning rate": {**SMALL, **CONSTANT, "schedule.max_lr": 2e-3, "train.epochs": 3},
}  # fmt: skip
COLUMNS = ("train_loss", "train_eval_loss", "valid_loss", "valid_accuracy", "lr")
SEEDS = {**dict.fromkeys(SOUND, 20), "ResNet-20, the default": 3, **dict.fromkeys(AILING, 2)}


def main(folder: Path, names: list[str]) -> None:
    """Train them all, seed by seed, so that what there is at any moment is of all kinds."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "epochs.csv").open("w") as epochs, (folder / "steps.csv").open("w") as steps:
        by_epoch, by_step = csv.writer(epochs), csv.writer(steps)
        by_epoch.writerow(["setting", "seed", "status", "epoch", *COLUMNS, "reestimated"])
        for seed in range(20):
            for name in names:
                if seed >= SEEDS[name]:
                    continue
                config = load_config(overrides={**{**SOUND, **AILING}[name], "seed": seed})
                result = train(config, splits=load_splits(config), device="cpu")
                anew = "" if result.reestimated is None else f"{result.reestimated.loss:.4g}"
                for index in range(len(result.epochs["epoch"])):
                    values = [f"{result.epochs[column][index]:.4g}" for column in COLUMNS]
                    by_epoch.writerow([name, seed, str(result.status), index, *values, anew])
                by_step.writerow([name, seed, *(f"{loss:.3g}" for loss in result.steps["train_loss"])])
                epochs.flush()
                steps.flush()
                print(name, seed, result.status, result.valid_loss, flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:] or [*SOUND, *AILING])
