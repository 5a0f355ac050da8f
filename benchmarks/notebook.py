"""The notebook that hpcli replaces, whole: every training, range test and line of it, one after the other.

    python benchmarks/notebook.py                 # results go to benchmarks/results/notebook_<name of the card>.csv
    python benchmarks/notebook.py --images DIR    # on a folder of images instead of random ones shaped like CIFAR-100
    python benchmarks/notebook.py --tiny          # anywhere: that the script itself is right

"Hyper-parameter tuning techniques in deep learning" (fastai v1, ResNet-56 on CIFAR-100, batch 256) trains for 48 epochs,
of 106 seconds each, and measures 150 points of a line between two of its states: here between two seeds, at the same cost.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from gpu import random_splits
from interpolation import two_weights
from tables import write_rows

from hpcli import Trainer, interpolate, load_config, lr_find, sweep, train
from hpcli.config import Config
from hpcli.data.dataset import Splits, load_splits

RESULTS = Path(__file__).parent / "results"
DECAYS = (0.0, 1e-3, 3e-4, 1e-4, 3e-5, 1e-5)


def parts(base: dict[str, object], splits: Splits, device: str) -> Iterator[tuple[str, Callable[[], Any]]]:
    """The notebook's cells that compute, in its order."""

    def config(**more: object) -> Config:
        return load_config(overrides={**base, **{key.replace("__", "."): value for key, value in more.items()}})

    def training(epochs: int, max_lr: float = 1e-2, momentum: str = "0.95-0.85", **more: object) -> Callable[[], Any]:
        keys = {"train__epochs": epochs, "schedule__max_lr": max_lr, "schedule__momentum": momentum, **more}
        return lambda: train(config(**keys), device=device, splits=splits)

    finder = config(lr_find__steps=100, lr_find__start_lr=1e-7, lr_find__end_lr=10, lr_find__seeds=1)
    yield "train, 1 epoch", training(1)
    for number in (1, 2):
        yield f"lr-find {number}, 100 steps", lambda: lr_find(finder, device=device, splits=splits)
    for max_lr in (1e-2, 1e-1):
        yield f"train, 3 epochs, max_lr {max_lr:g}", training(3, max_lr)
    yield "train, 8 epochs, states kept", training(8)
    trainer = Trainer.from_config(config(), device=device, splits=splits)
    ends = two_weights(trainer)
    for alphas, name in (("-0.5:1.5:100", "interpolate, 100 alphas"), ("-10:4:50", "interpolate, 50 alphas")):
        line = config(interpolate__alphas=alphas)
        yield name, lambda line=line: interpolate(*ends, config=line, trainer=trainer)
    for momentum in ("0.99-0.90", "0.95-0.85"):
        yield f"train, 3 epochs, momentum {momentum}", training(3, momentum=momentum)
    wide = config(sweep__epochs=2, sweep__seeds=1, schedule__momentum=0.9)
    yield (
        "sweep-wd, 6 values, 2 epochs",
        lambda: sweep(wide, {"optimizer.weight_decay": list(DECAYS)}, device=device, splits=splits),
    )
    yield "train, 15 epochs", training(15, momentum="0.9", optimizer__weight_decay=1e-4)


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=Path)
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--out", type=Path, default=RESULTS)
    asked = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    card = torch.cuda.get_device_name().replace(" ", "_") if device == "cuda" else "cpu"
    base: dict[str, object] = {"model.name": "resnet56", "data.batch_size": 256, "data.augment": "standard"}
    if asked.tiny:
        base |= {"model.name": "resnet20", "data.batch_size": 16}
    if asked.images:
        base |= {"data.name": "folder", "data.root": str(asked.images)}
        splits = load_splits(load_config(overrides=base))
    else:
        splits = random_splits(64, 16) if asked.tiny else random_splits(50000, 32, 10000)

    def rows() -> Iterator[dict[str, object]]:
        begin = time.perf_counter()
        for name, action in parts(base, splits, device):
            start = time.perf_counter()
            action()
            row = {"part": name, "seconds": f"{time.perf_counter() - start:.3g}"}
            print(f"{name:35s} {row['seconds']:>8s} s", flush=True)
            yield row
        total = time.perf_counter() - begin
        print(f"{'all of it':35s} {total:8.3g} s")
        yield {"part": "all of it", "seconds": f"{total:.3g}"}

    write_rows(asked.out / f"notebook_{card}.csv", rows())


if __name__ == "__main__":
    main()
