"""How much faster two workers are than one on a machine of two cores: the same sweep of forty trials, each of some ten seconds.

    python benchmarks/workers.py --images DIR        # a folder in ImageNet layout (train/<class>/…)

On an idle machine: it refuses another. Whole commands are timed, decoding left out (a first command fills the cache). The tables
of the sweeps must be the same. Results go to benchmarks/results/workers.csv.
"""

from __future__ import annotations

import argparse
import csv
import datetime
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

RESULTS = Path(__file__).parent / "results" / "workers.csv"
QUIET = 0.6
"""Load of a machine that is measured on."""
NETWORK = ("model.name=resnet20", "model.options.num_blocks=[1,1,1]", "train.threads=1")
IMAGES = ("data.image_size=16", "data.train_fraction=0.1", "data.valid_limit=1000", "data.batch_size=64")
SECONDS = "seconds"


def main() -> None:
    """Time both, and keep what was found."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--images", type=Path, required=True, help="CIFAR-10 as a folder, train/<class>/…")
    parser.add_argument("--seeds", type=int, default=10, help="of each of four weight decays")
    parser.add_argument("--epochs", type=int, default=4)
    asked = parser.parse_args()
    before = os.getloadavg()[0]
    if before > QUIET:
        raise SystemExit(f"the machine is busy (load {before:.1f}); measure when it is not")
    images = asked.images.resolve()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        sweep(folder / "cache", images, seeds=1, epochs=1, workers=1)
        taken = {count: sweep(folder / str(count), images, asked.seeds, asked.epochs, count) for count in (1, 2)}
        one, two = (rows(folder / str(count)) for count in (1, 2))
    if without_times(one) != without_times(two):
        raise SystemExit("the sweeps differ")
    trial = sum(float(row[SECONDS]) for row in one) / len(one)
    about = f"{platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}, load before {before:.2f}"
    table = [f"{count},{len(one)},{trial:.1f},{seconds:.0f}" for count, seconds in taken.items()]
    RESULTS.write_text(
        "\n".join([f"# {datetime.date.today()}, {about}", "workers,trials,trial_seconds,seconds", *table, ""])
    )


def sweep(out: Path, images: Path, seeds: int, epochs: int, workers: int) -> float:
    """Seconds of a whole command."""
    keys = ["data.name=folder", f"data.root={images}", *NETWORK, *IMAGES]
    values = ["--values", "1e-4,1e-3,1e-2,1e-1", "--seeds", str(seeds), "--epochs", str(epochs)]
    settings = [part for key in keys for part in ("--set", key)]
    command = [sys.executable, "-m", "hpcli", "sweep-wd", *values, *settings, "--workers", str(workers)]
    started = time.perf_counter()
    subprocess.run([*command, "--out", str(out), "-q"], check=True)
    return time.perf_counter() - started


def rows(run: Path) -> list[dict[str, str]]:
    """Of a sweep's table, in order of its trials."""
    with (run / "sweep.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def without_times(table: list[dict[str, str]]) -> list[dict[str, str]]:
    """What must be the same."""
    return [{key: cell for key, cell in row.items() if SECONDS not in key} for row in table]


if __name__ == "__main__":
    main()
