"""Training runs to diagnose: real ones, Smith's, the source's, and simulated sound ones."""

from __future__ import annotations

import csv
import math
from collections import defaultdict
from pathlib import Path

import numpy as np

from hpcli.analysis.epochs import Array, Curves

HERE = Path(__file__).parent
CHANCE = math.log(10)


def column(rows: list[dict[str, str]], name: str) -> Array:
    return np.array([float(row[name]) for row in rows])


def real_runs() -> dict[tuple[str, int], Curves]:
    """Setting and seed → the run; see runs/README.md."""
    rows: dict[tuple[str, int], list[dict[str, str]]] = defaultdict(list)
    with (HERE / "runs/epochs.csv").open() as file:
        for row in csv.DictReader(file):
            rows[row["setting"], int(row["seed"])].append(row)
    with (HERE / "runs/steps.csv").open() as file:
        steps = {(line[0], int(line[1])): np.array(line[2:], float) for line in csv.reader(file)}
    return {
        key: Curves(
            column(found, "train_loss"),
            column(found, "train_eval_loss"),
            column(found, "valid_loss"),
            column(found, "valid_accuracy"),
            column(found, "lr"),
            chance=CHANCE,
            chance_accuracy=0.104,
            steps=steps[key],
            reestimated=float(found[0]["reestimated"]) if found[0]["reestimated"] else None,
            diverged=found[0]["status"] == "diverged",
        )
        for key, found in rows.items()
    }


def _logged(file: str, by: str) -> dict[str, list[dict[str, str]]]:
    rows: dict[str, list[dict[str, str]]] = defaultdict(list)
    with (HERE / "smith" / file).open() as lines:
        for row in csv.DictReader(line for line in lines if not line.startswith("#")):
            rows[row[by]].append(row)
    return rows


def smiths_runs() -> dict[str, Curves]:
    """Series → the run. What he logged as training loss is that of a single batch."""
    return {
        name: Curves(
            column(rows, "train_loss"),
            np.full(len(rows), np.nan),
            column(rows, "test_loss"),
            column(rows, "test_accuracy"),
            column(rows, "lr"),
            chance=math.log(int(rows[0]["classes"])),
            chance_accuracy=1 / int(rows[0]["classes"]),
        )
        for name, rows in _logged("training_runs.csv", "series").items()
    }


def one_cycle(epochs: int, peak: float = 0.3) -> Array:
    """[E] The learning rate at each epoch's end, 1 at its highest."""
    x = np.arange(1, epochs + 1) / epochs
    return np.where(x < peak, 0.04 + 0.96 * x / peak, 0.5 * (1 + np.cos(np.pi * (x - peak) / (1 - peak))))


def source_runs() -> dict[str, Curves]:
    """Run → its table, with the learning rate of its 1cycle."""
    return {
        name: Curves(
            column(rows, "train_loss"),
            np.full(len(rows), np.nan),
            column(rows, "valid_loss"),
            column(rows, "accuracy"),
            0.01 * one_cycle(len(rows)),
            chance=math.log(100),
            chance_accuracy=0.01,
        )
        for name, rows in _logged("source_training_runs.csv", "run").items()
    }


def simulated(random: np.random.Generator) -> Curves:
    """A sound run by 1cycle: it nears a floor, a hot bump goes as the rate falls, all of it noisy where the rate is high.

    Any number of classes and epochs, dropout or none, with the losses of batches or without.
    """
    classes, epochs = int(random.choice([2, 10, 100, 1000])), int(random.choice([5, 8, 10, 15, 20, 30, 50, 100]))
    chance, per_epoch, peak = math.log(classes), int(random.choice([10, 50, 200])), random.uniform(0.25, 0.5)
    lr = one_cycle(epochs, peak)
    floor = random.uniform(0.05, 0.3) * chance
    course = floor + (chance - floor) * np.exp(-random.uniform(4, 10) * np.cumsum(lr) / lr.sum())
    hot = random.uniform(0, 0.15) * chance * lr * (np.arange(1, epochs + 1) / epochs > peak / 2)
    wild = random.uniform(0.005, 0.1) * (0.15 + lr)
    valid = (course + hot) * np.exp(random.normal(0, 1, epochs) * wild)
    own = (random.uniform(0.3, 0.9) * course + 0.7 * hot) * np.exp(random.normal(0, 0.7, epochs) * wild)
    steps = np.repeat(own * random.uniform(0.9, 1.3), per_epoch) * np.exp(random.normal(0, 0.15, epochs * per_epoch))
    accuracy = 1 - (1 - 1 / classes) * np.clip(valid / chance, 0, 1)
    train = steps.reshape(epochs, per_epoch).mean(1)
    known = steps if random.random() < 0.5 else np.empty(0)
    return Curves(train, own, valid, accuracy, lr, chance, 1 / classes, known)
