"""How far `lr-find` can be trusted: spread over seeds, sensitivity to steps, and whether its choice trains well.

    python benchmarks/lr_find.py stability --images DIR     # a folder in ImageNet layout (train/<class>/…); none: digits
    python benchmarks/lr_find.py choice --images DIR

`stability` runs the range test with 210 steps (5 seeds) and with three times as many (3 seeds). `choice` trains 1cycle at the
recommendation and at six fixed learning rates, 3 seeds each, and compares validation losses: ten epochs on digits, 40 % of
them held out; two epochs on half of the images, halved to 16×16. Results go to benchmarks/results/ as CSV, with date,
machine and versions in their first line.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from tables import write_rows

from hpcli import Trainer, load_config, lr_find, train
from hpcli.config import Config, with_overrides
from hpcli.data.dataset import ImageData, Split, Splits, divide, load_splits
from hpcli.data.statistics import channel_statistics

RESULTS = Path(__file__).parent / "results"
CIFAR = {"data.batch_size": 128, "data.validation": 0.1, "model.options.num_blocks": [1, 1, 1]}
GRID = {
    ("adamw", "digits"): (1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1),
    ("sgd", "digits"): (3e-3, 1e-2, 3e-2, 1e-1, 3e-1, 1.0),
    ("adamw", "images"): (1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1),
    ("sgd", "images"): (1e-2, 3e-2, 1e-1, 3e-1, 1.0, 3.0),
}


SHORT = {
    "digits": {"data.validation": 0.4},  # 575 images: with 287 the losses of two equal runs differ by up to a half
    "images": {"train.epochs": 2, "data.train_fraction": 0.5},
}


def images_in(folder: Path, reduce: int) -> Split:
    """All images of `folder/<class>/`, in the order of their names, their sides divided by `reduce`."""
    classes = sorted(path for path in folder.iterdir() if path.is_dir())
    files = [(file, label) for label, each in enumerate(classes) for file in sorted(each.iterdir())]
    pixels = np.stack([np.asarray(Image.open(file).convert("RGB").reduce(reduce)) for file, _ in files])
    return Split(pixels, np.array([label for _, label in files]))


def prepared(folder: Path | None, optimizer: str, *, short: bool = False) -> tuple[str, Config, Splits]:
    """Name, config and data of the setting."""
    name = "digits" if folder is None else "images"
    config = load_config(None, {"optimizer.name": optimizer, **(SHORT[name] if short else {})})
    if folder is None:
        return name, config, load_splits(config)
    config = with_overrides(config, CIFAR)
    reduce = 2 if short else 1
    learn, test = images_in(folder / "train", reduce), images_in(folder / "test", reduce)
    mean, std = channel_statistics(learn.images)
    classes = tuple(sorted(path.name for path in (folder / "train").iterdir()))
    return name, config, divide(ImageData(learn, test, classes, mean, std, flip=True), config)


def stability(folder: Path | None) -> Iterable[Mapping[str, Any]]:
    """Rows: optimizer, steps, seed, suggestion, range, break."""
    for optimizer in ("adamw", "sgd"):
        name, config, splits = prepared(folder, optimizer)
        trainer = Trainer.from_config(config, splits=splits)
        for steps, seeds in ((210, 5), (630, 3)):
            result = lr_find(with_overrides(config, {"lr_find.steps": steps, "lr_find.seeds": seeds}), trainer=trainer)
            for curve in result.curves:
                found = curve.suggestion
                yield {
                    "data": name, "optimizer": optimizer, "steps": steps, "seed": curve.seed, "suggested_lr": found.suggested_lr,
                    "low": found.low, "high": found.high, "blow_up_lr": found.blow_up_lr, "refused": found.refused or "",
                }  # fmt: skip


def choice(folder: Path | None) -> Iterable[Mapping[str, Any]]:
    """Rows: optimizer, learning rate (or the recommendation's), seed, validation loss after 1cycle."""
    for optimizer in ("adamw", "sgd"):
        name, config, splits = prepared(folder, optimizer, short=True)
        trainer = Trainer.from_config(config, splits=splits)
        suggestion = lr_find(config, trainer=trainer).suggestion
        recommended = suggestion.suggested_lr if suggestion else None
        for max_lr in (recommended, *GRID[optimizer, name]):
            for seed in range(3):
                trainer.reset(seed)
                result = train(with_overrides(config, {"schedule.max_lr": max_lr}), trainer=trainer)
                yield {
                    "data": name, "optimizer": optimizer, "max_lr": max_lr, "recommended": max_lr == recommended, "seed": seed,
                    "status": result.status, "valid_loss": result.valid_loss, "valid_accuracy": result.valid_accuracy,
                }  # fmt: skip


def main() -> None:
    """Run one of the two and write its rows as they come."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["stability", "choice"])
    parser.add_argument("--images", type=Path)
    arguments = parser.parse_args()
    path = RESULTS / f"lr_find_{arguments.what}_{'images' if arguments.images else 'digits'}.csv"
    write_rows(path, {"stability": stability, "choice": choice}[arguments.what](arguments.images))


if __name__ == "__main__":
    main()
