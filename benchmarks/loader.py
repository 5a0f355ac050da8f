"""What data cost: hpcli's training step beside the raw model, and beside PyTorch's DataLoader with Pillow.

    python benchmarks/loader.py --images DIR        # a folder in ImageNet layout (train/<class>/…)

The same network, batch of 128, flip and padded crop, AdamW and number of steps for all, taking turns in one process:
`raw` trains on one batch over and over; `hpcli` is its Trainer; `DataLoader` decodes and augments an image at a time with
torchvision's transforms, in 0 or 2 workers. Median images/s of the rounds. Results go to benchmarks/results/loader.csv.
A turn begins when the workers of the last one have filled their queues: they go on for a while after it has ended.
"""

from __future__ import annotations

import argparse
import datetime
import os
import platform
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader
from torchvision import transforms
from torchvision.datasets import ImageFolder

from hpcli import Trainer, allow_code, load_config
from hpcli.training.schedules import constant

BATCH = 128
PAUSE = 1.0
MODELS = {"resnet20": "resnet20", "tiny": "loader:tiny"}
Turn = Callable[[int], None]


def trainer_for(folder: Path, name: str) -> Trainer:
    """hpcli's, with images as the model wants them."""
    allow_code("loader:tiny")
    data = {"data.name": "folder", "data.root": str(folder), "data.batch_size": BATCH}
    return Trainer.from_config(load_config(None, {**data, "model.name": MODELS[name]}))


def tiny(num_classes: int, in_channels: int) -> nn.Module:
    """Two convolutions and a linear layer, 5,600 weights: data cost most where the network costs little."""
    return nn.Sequential(
        nn.Conv2d(in_channels, 16, 3, stride=2, padding=1), nn.BatchNorm2d(16), nn.ReLU(),
        nn.Conv2d(16, 32, 3, stride=2, padding=1), nn.BatchNorm2d(32), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, num_classes),
    )  # fmt: skip


def raw(trainer: Trainer) -> Turn:
    """The model-only limit: forward, backward and update of one batch."""
    images, labels = trainer.data.loader.batch(0)

    def turn(steps: int) -> None:
        for _ in range(steps):
            trainer.take_step(images, labels, 1e-3, 0.9)

    return turn


def hpcli(trainer: Trainer) -> Turn:
    """The loop of hpcli itself."""

    def turn(steps: int) -> None:
        for _ in trainer.train(constant(steps, 1e-3, 0.9)):
            pass

    return turn


def data_loader(trainer: Trainer, folder: Path, workers: int) -> Turn:
    """A plain loop over PyTorch's DataLoader, the optimizer torch's fused AdamW."""
    size = trainer.data.loader.size
    source = trainer.data.splits.source
    steps = [
        transforms.RandomCrop(size, padding=min(size) // 8), transforms.RandomHorizontalFlip(), transforms.ToTensor(),
        transforms.Normalize(source.mean, source.std),
    ]  # fmt: skip
    images = ImageFolder(str(folder / "train"), transforms.Compose(steps))
    loader = DataLoader(
        images, BATCH, shuffle=True, drop_last=True, num_workers=workers, persistent_workers=workers > 0
    )
    optimizer = torch.optim.AdamW(trainer.model.parameters(), lr=1e-3, betas=(0.9, 0.99), weight_decay=1e-2, fused=True)
    batches = endless(loader)

    def turn(count: int) -> None:
        for _ in range(count):
            pixels, labels = next(batches)
            pixels = pixels.to(memory_format=torch.channels_last)
            nn.functional.cross_entropy(trainer.model(pixels), labels).backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)

    return turn


def endless(loader: DataLoader[tuple[Tensor, Tensor]]) -> Iterator[tuple[Tensor, Tensor]]:
    """Batch after batch."""
    while True:
        yield from loader


def speeds(folder: Path, name: str, steps: int, rounds: int) -> dict[str, float]:
    """Median images/s of each way, taking turns."""
    trainer = trainer_for(folder, name)
    turns = {"raw": raw(trainer), "hpcli": hpcli(trainer)}
    turns |= {f"DataLoader, {workers} workers": data_loader(trainer, folder, workers) for workers in (0, 2)}
    seconds: dict[str, list[float]] = {way: [] for way in turns}
    for number in range(rounds + 1):  # the first warms up
        for way, turn in turns.items():
            started = time.perf_counter()
            turn(steps)
            seconds[way] += [time.perf_counter() - started] if number else []
            time.sleep(PAUSE)
    return {way: steps * BATCH / float(np.median(taken)) for way, taken in seconds.items()}


def main() -> None:
    """Measure both networks and write a row for each way."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    machine = (
        f"{platform.machine()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads, torch {torch.__version__}"
    )
    with (Path(__file__).parent / "results" / "loader.csv").open("w") as file:
        file.write(f"# {datetime.date.today()}, {machine}, batch {BATCH}, median of {arguments.rounds} rounds\n")
        file.write("model,way,images_per_second,share_of_raw\n")
        for name, steps in (("resnet20", 8), ("tiny", 80)):
            found = speeds(arguments.images, name, steps, arguments.rounds)
            for way, speed in found.items():
                file.write(f'{name},"{way}",{speed:.0f},{speed / found["raw"]:.3f}\n')


if __name__ == "__main__":
    main()
