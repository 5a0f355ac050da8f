"""Which learning rate goes with another batch size: none changed, its square root, or in proportion.

    python benchmarks/batch_sizes.py

ResNet-8 on the digits, equal images (six epochs of 1cycle), batch sizes of 16, 64 (the base) and 256, AdamW and SGD, seven
learning rates a third of a decade apart, two seeds. For each rule: the loss at the learning rate that the rule carries
from the best one at 64, over the lowest loss of that size. Results go to benchmarks/results/batch_sizes.csv.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from tables import write_rows

from hpcli import load_config, sweep
from hpcli.config import with_overrides

RESULTS = Path(__file__).parent / "results/batch_sizes.csv"
BASE, SIZES, SEEDS = 64, (16, 64, 256), 2
GRID = {"adamw": np.logspace(-3, -1, 7), "sgd": np.logspace(-2, 0, 7)}
RULES = {"the same": 0.0, "square root": 0.5, "in proportion": 1.0}


def rows(optimizer: str) -> Iterable[dict[str, object]]:
    """A row a size and rule: the learning rate's loss (log-interpolated) over the lowest of the size."""
    config = load_config(
        None,
        {
            "optimizer.name": optimizer,
            "model.options.num_blocks": [1, 1, 1],
            "data.validation": 0.4,
            "sweep.epochs": 6,
            "sweep.seeds": SEEDS,
        },
    )
    lrs = [float(f"{lr:.3g}") for lr in GRID[optimizer]]
    means = {}
    for size in SIZES:
        result = sweep(with_overrides(config, {"data.batch_size": size}), {"schedule.max_lr": lrs})
        losses = np.where(np.isfinite(result.losses), result.losses, np.log(10))
        means[size] = np.exp(np.log(losses).mean(1))
    best = lrs[int(means[BASE].argmin())]
    for size in SIZES:
        lowest = int(means[size].argmin())
        for rule, power in RULES.items():
            lr = best * (size / BASE) ** power
            loss = float(np.exp(np.interp(np.log(lr), np.log(lrs), np.log(means[size]))))
            yield {
                "optimizer": optimizer, "batch_size": size, "best_lr": lrs[lowest], "lowest_loss": float(means[size][lowest]),
                "rule": rule, "lr": lr, "loss": loss, "over_the_lowest": loss / float(means[size][lowest]),
            }  # fmt: skip


def main() -> None:
    """Measure both optimizers and write the rows as they come."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=RESULTS)
    write_rows(parser.parse_args().out, (row for optimizer in GRID for row in rows(optimizer)))


if __name__ == "__main__":
    main()
