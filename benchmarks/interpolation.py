"""What `interpolate` costs and shows: against load_state_dict and a DataLoader at every α, and three lines side by side.

    python benchmarks/interpolation.py            # both, some minutes; nothing is downloaded

Speed: ResNet-20, 32×32 images (of noise: their content costs nothing), 1,000 training and 1,000 validation images at each
α, all ways taking turns in one process. The plain way builds a state dict, loads it and iterates a DataLoader over
normalised tensors in memory, in hpcli's batches or in 512; the limit is the forward passes alone, of one batch over and
over. Results go to benchmarks/results/interpolation.csv, the picture of three pairs of
checkpoints on the digits to docs/pictures/interpolation.png.
"""

from __future__ import annotations

import argparse
import copy
import datetime
import math
import os
import platform
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from hpcli import (
    DiskRecorder,
    ImageData,
    InterpolateResult,
    Split,
    Trainer,
    interpolate,
    load_config,
    plots,
    train,
)
from hpcli.config.alphas import BN_IMAGES
from hpcli.data.dataset import divide
from hpcli.states import BatchNorm
from hpcli.training.mixture import Mixture

HERE = Path(__file__).parent
IMAGES = 1000
ALPHAS = np.linspace(-0.5, 1.5, 5)
Way = Callable[[float], tuple[float, float]]


def noise_trainer() -> Trainer:
    """A ResNet-20 over images of noise, as large as CIFAR's."""
    generator = np.random.default_rng(0)
    count = BN_IMAGES + IMAGES
    images = generator.integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)
    half = (0.5, 0.5, 0.5)
    every = Split(images, generator.integers(0, 10, count))
    source = ImageData(every, None, tuple("0123456789"), half, half, flip=True)
    config = load_config(None, {"data.validation": IMAGES / count, "model.name": "resnet20"})
    return Trainer.from_config(config, splits=divide(source, config))


def two_weights(trainer: Trainer) -> list[dict[str, Tensor]]:
    """Weights of two seeds, with BatchNorm statistics of their own."""
    found = []
    for seed in (0, 1):
        trainer.reset(seed)
        with trainer.bn_statistics(512):
            found.append({name: value.clone() for name, value in trainer.model.state_dict().items()})
    return found


def plain(trainer: Trainer, weights: list[dict[str, Tensor]], bn: BatchNorm, batch_size: int) -> Way:
    """A new state dict, load_state_dict and a DataLoader at every α."""
    model, (one, other) = copy.deepcopy(trainer.model), weights
    data, normalize = trainer.data, trainer.data.loader.normalize
    splits = {
        "train": data.splits.train_sample(),
        "valid": data.splits.valid,
        "bn": data.splits.train_sample(BN_IMAGES),
    }
    loaders = {
        name: DataLoader(
            TensorDataset(normalize(torch.from_numpy(split.images)).contiguous(), torch.from_numpy(split.labels)),
            batch_size=batch_size,
        )
        for name, split in splits.items()
    }

    def loss(name: str) -> float:
        total = sum(
            float(nn.functional.cross_entropy(model(images), labels, reduction="sum"))
            for images, labels in loaders[name]
        )
        return total / len(splits[name])

    @torch.no_grad()
    def at(alpha: float) -> tuple[float, float]:
        model.load_state_dict({name: (1 - alpha) * one[name] + alpha * other[name] for name in one})
        model.eval()
        if bn == BatchNorm.RECOMPUTE:
            for module in model.modules():
                if isinstance(module, nn.modules.batchnorm._BatchNorm):
                    module.reset_running_stats()
                    module.momentum = None
                    module.train()
            for images, _ in loaders["bn"]:
                model(images)
            model.eval()
        return loss("train"), loss("valid")

    return at


def ours(trainer: Trainer, weights: list[dict[str, Tensor]], bn: BatchNorm) -> Way:
    """What `interpolate` does at every α."""
    mixture = Mixture(trainer, *weights)
    assert mixture.network.pairs, "nothing was folded"

    def at(alpha: float) -> tuple[float, float]:
        with mixture.at(1 - alpha, alpha, bn=bn):
            return mixture.evaluate("train").loss, mixture.evaluate("valid").loss

    return at


def limit(trainer: Trainer, weights: list[dict[str, Tensor]], bn: BatchNorm) -> Way:
    """The same forward passes, of one batch: what the network alone takes."""
    mixture, size = Mixture(trainer, *weights), trainer.data.eval_batch_size
    images = next(iter(trainer.data.eval_loader("valid")))[0]

    @torch.inference_mode()
    def at(alpha: float) -> tuple[float, float]:
        trainer.model.train()
        for _ in range(0, BN_IMAGES if bn == BatchNorm.RECOMPUTE else 0, size):
            trainer.model(images)
        trainer.model.eval()
        for _ in range(0, 2 * IMAGES, size):
            mixture.network(images)
        return math.nan, math.nan

    return at


def seconds(ways: dict[str, Way]) -> dict[str, list[float]]:
    """Seconds at each α of each way; they take turns, and must find the same losses."""
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for number, alpha in enumerate([0.5, *ALPHAS]):  # the first warms up
        found = {}
        for name, way in ways.items():
            started = time.perf_counter()
            found[name] = way(float(alpha))
            taken[name] += [time.perf_counter() - started] if number else []
        for name in ("plain", "plain 512"):
            assert np.allclose(found["hpcli"], found[name], rtol=3e-3, equal_nan=True), found
    return taken


def measure_speed() -> None:
    """Both ways in both BatchNorm modes, and the cost of 2, 4 and 8 α: a row each."""
    trainer = noise_trainer()
    weights = two_weights(trainer)
    machine = (
        f"{platform.machine()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads, torch {torch.__version__}"
    )
    with (HERE / "results" / "interpolation.csv").open("w") as file:
        file.write(f"# {datetime.date.today()}, {machine}, median of {len(ALPHAS)} alphas, taking turns\n")
        file.write("bn,way,seconds,hpcli_times_as_fast\n")
        for bn in (BatchNorm.INTERPOLATE, BatchNorm.RECOMPUTE):
            taken = seconds(
                {
                    "limit": limit(trainer, weights, bn),
                    "hpcli": ours(trainer, weights, bn),
                    "plain": plain(trainer, weights, bn, trainer.data.eval_batch_size),
                    "plain 512": plain(trainer, weights, bn, 512),
                }
            )
            for way, each in taken.items():
                ratio = np.median(np.array(each) / np.array(taken["hpcli"]))
                file.write(f"{bn},{way},{np.median(each):.3f},{ratio:.2f}\n")
                print(f"{bn}: {way} {np.median(each):.3f} s an alpha, {ratio:.2f} of hpcli's")
    at = ours(trainer, weights, BatchNorm.INTERPOLATE)
    for count in (1, 2, 4):
        started = time.perf_counter()
        for alpha in ALPHAS[:count]:
            at(float(alpha))
        print(f"{count} alphas: {(time.perf_counter() - started) / count:.3f} s each")


def trained(folder: Path, **keys: object) -> Path:
    """A run on the digits, with its checkpoints."""
    config = load_config(None, {key.replace("__", "."): value for key, value in keys.items()})
    with DiskRecorder.create("train", config, folder) as run:
        result = train(config, recorder=run)
        run.finish(result.status, result.summary())
    return folder


def lines(folder: Path) -> dict[str, InterpolateResult]:
    """Two epochs of a run, two cycles of one, two seeds."""
    one = trained(folder / "seed-0", train__epochs=10, train__checkpoint_epochs=[7])
    other = trained(folder / "seed-1", train__epochs=10, seed=1)
    cycle = {"schedule__name": "triangular", "schedule__cycles": 2, "schedule__max_lr": 0.1, "schedule__base_lr": 1e-4}
    cycles = trained(folder / "cycles", train__epochs=30, **cycle)
    pairs: dict[str, tuple[Path | str, Path | str]] = {
        "one run's epochs 7 and 9": (f"{one}:epoch-0007", one),
        "two cycles of one run": (f"{cycles}:cycle-0", f"{cycles}:cycle-1"),
        "two seeds": (one, other),
    }
    found = {}
    for name, (a, b) in pairs.items():
        found[name] = interpolate(a, b)
        print(f"{name}: {found[name].summary()['sentence']}")
    return found


def main() -> None:
    """Measure the speed, then draw the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=("speed", "picture"))
    chosen = parser.parse_args().only
    if chosen != "picture":
        measure_speed()
    if chosen != "speed":
        with tempfile.TemporaryDirectory() as folder:
            figure = plots.interpolations(lines(Path(folder)))
        figure.savefig(HERE.parent / "docs" / "pictures" / "interpolation.png")


if __name__ == "__main__":
    main()
