"""What data and loops cost: hpcli's training beside the raw model, PyTorch's DataLoader, fastai and Lightning.

    pip install fastai lightning torch-lr-finder    # those that are not there are left out
    python benchmarks/loader.py --images DIR        # a folder in ImageNet layout (train/<class>/…)

The same network, batch of 128, flip and padded crop, AdamW and number of steps for all, each in a process of its own, taking
turns: `raw` trains on one batch over and over; `hpcli` is its Trainer, in the process of `raw`, a part of a turn each;
`DataLoader` decodes and augments an image at a time with torchvision's transforms, in 0 or 2 workers, and the same loaders
go to fastai's Learner and Lightning's Trainer; `in memory` has its images decoded. Then a range test by each. Median
images/s of the rounds. Results go to benchmarks/results/loader.csv. A turn begins when the workers of the last one have
filled their queues: they go on for a while after it has ended.
"""

from __future__ import annotations

import argparse
import datetime
import multiprocessing
import os
import platform
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from loader_peers import HIGHEST, LOWEST, Loaders, Turn, fastai, installed, lightning, pytorch_lr_finder
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, Subset
from torchvision import transforms
from torchvision.datasets import ImageFolder

from hpcli import Config, Trainer, allow_code, load_config, lr_find
from hpcli.config import with_overrides
from hpcli.training.schedules import constant

BATCH = 128
BUSY = 0.6
STEPS = {"resnet20": {"train": 8, "range test": 20}, "tiny": {"train": 80, "range test": 100}}
"""Of a turn."""
PAUSE = 1.0
OWN = "hpcli"
PARTS = 4
"""Of a turn that two ways of one process share."""
MODELS = {"resnet20": "resnet20", "tiny": "loader:tiny"}


def config_for(folder: Path, name: str) -> Config:
    """Hpcli's, of a network and a folder of images."""
    allow_code("loader:tiny")
    data = {"data.name": "folder", "data.root": str(folder), "data.batch_size": BATCH}
    ends = {"lr_find.start_lr": LOWEST, "lr_find.end_lr": HIGHEST, "lr_find.seeds": 1}
    return load_config(None, {**data, **ends, "model.name": MODELS[name]})


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


def loaders_of(trainer: Trainer, folder: Path, *, in_memory: bool = False) -> Loaders:
    """PyTorch's DataLoader over files, decoded and augmented one by one, or over decoded images in memory."""
    size = trainer.data.loader.size
    source = trainer.data.splits.source
    random = [transforms.RandomCrop(size, padding=min(size) // 8), transforms.RandomHorizontalFlip()]
    normal = transforms.Normalize(source.mean, source.std)
    steps = [*random, normal] if in_memory else [*random, transforms.ToTensor(), normal]
    images = ImageFolder(str(folder / "train"), transforms.Compose(steps))

    def loader(workers: int, count: int) -> DataLoader[Any]:
        shuffled = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))[: count * BATCH].tolist()
        chosen: Dataset[Any] = _InMemory(images, shuffled) if in_memory else Subset(images, shuffled)
        return DataLoader(
            chosen, BATCH, shuffle=True, drop_last=True, num_workers=workers, persistent_workers=workers > 0
        )

    return loader


class _InMemory(Dataset[Any]):
    """Images decoded once, as tensors of floats; augmented one by one."""

    def __init__(self, images: ImageFolder, chosen: list[int]) -> None:
        self.transform, self.labels = images.transform, [images.targets[each] for each in chosen]
        self.pixels = [transforms.functional.to_tensor(images.loader(images.samples[each][0])) for each in chosen]

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, place: int) -> tuple[Tensor, int]:
        return self.transform(self.pixels[place]), self.labels[place]


def data_loader(trainer: Trainer, loader: DataLoader[Any]) -> Turn:
    """A plain loop over PyTorch's DataLoader, the optimizer torch's fused AdamW."""
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


def endless(loader: DataLoader[Any]) -> Iterator[tuple[Tensor, Tensor]]:
    """Batch after batch."""
    while True:
        yield from loader


def range_test(config: Config) -> Turn:
    """By hpcli, with its suggestion."""
    trainer = Trainer.from_config(config)

    def turn(steps: int) -> None:
        trainer.reset(0)
        lr_find(with_overrides(config, {"lr_find.steps": steps}), trainer=trainer)

    return turn


PEERS = {"fastai": "fastai", "Lightning": "lightning", "pytorch-lr-finder": "torch_lr_finder"}
"""Its package, by a program's name."""
TRAINS = ("DataLoader, 0 workers", "DataLoader, 2 workers", "DataLoader, in memory", "fastai, 0 workers",
          "Lightning, 0 workers", "fastai, 2 workers", "Lightning, 2 workers")  # fmt: skip
TESTS = ("fastai, 0 workers", "pytorch-lr-finder, 0 workers", "fastai, 2 workers", "pytorch-lr-finder, 2 workers")


def made(what: str, way: str, folder: Path, name: str, steps: int) -> dict[str, Turn]:
    """The turns of a way to train or to test learning rates, by their names in the table."""
    config = config_for(folder, name)
    if way == OWN and what == "range test":
        return {"hpcli": range_test(config)}
    trainer = Trainer.from_config(config)
    if way == OWN:
        return {"raw": raw(trainer), "hpcli": hpcli(trainer)}
    workers = 2 if way.endswith("2 workers") else 0
    loaders = loaders_of(trainer, folder, in_memory=way.endswith("memory"))
    if way.startswith("DataLoader"):
        return {way: data_loader(trainer, loaders(workers, steps))}
    if way.startswith("fastai"):
        return {way: fastai(trainer.model, loaders, workers, steps)[what]}
    peer = lightning if way.startswith("Lightning") else pytorch_lr_finder
    return {way: peer(trainer.model, loaders, workers, steps)}


_turns: dict[str, Turn] = {}
"""Of this process."""


def prepare(start_method: str, *about: Any) -> None:
    """Make the turns of this process, see `made`; workers of its loaders start as they would in a process of a user's."""
    multiprocessing.set_start_method(start_method, force=True)
    _turns.update(made(*about))


def take_turn(steps: int) -> dict[str, float]:
    """Seconds of each way of this process; two take parts of their turns in turn."""
    seconds, parts = dict.fromkeys(_turns, 0.0), PARTS if len(_turns) > 1 else 1
    for _ in range(parts):
        for way, turn in _turns.items():
            started = time.perf_counter()
            turn(steps // parts)
            seconds[way] += time.perf_counter() - started
    return seconds


def in_turns(what: str, folder: Path, name: str, steps: int, rounds: int) -> dict[str, float]:
    """Median seconds of each way, taking turns, each in a process of its own."""
    peers = [way for way in (TRAINS if what == "train" else TESTS) if _is_there(way)]
    spawn = multiprocessing.get_context("spawn")
    usual, ways = multiprocessing.get_start_method(), (OWN, *peers)
    pools = [ProcessPoolExecutor(1, spawn, prepare, (usual, what, way, folder, name, steps)) for way in ways]
    seconds: dict[str, list[float]] = {}
    for number in range(rounds + 1):  # the first warms up
        for pool in pools:
            for way, taken in pool.submit(take_turn, steps).result().items():
                seconds.setdefault(way, []).extend([taken] if number else [])
            time.sleep(PAUSE)
    for pool in pools:
        pool.shutdown()
    return {way: float(np.median(taken)) for way, taken in seconds.items()}


def _is_there(way: str) -> bool:
    return installed(PEERS.get(way.partition(",")[0], "torch"))


def main() -> None:
    """Measure both networks and write a row for each way."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    before = os.getloadavg()[0]
    if before > BUSY:
        raise SystemExit(f"the machine is busy (load {before:.1f}); measure when it is not")
    rows = ["model,what,way,images_per_second,of_first"]
    for name, by_kind in STEPS.items():
        for what, steps in by_kind.items():
            found = in_turns(what, arguments.images, name, steps, arguments.rounds)
            first = next(iter(found.values()))
            rows += [
                f'{name},{what},"{way}",{steps * BATCH / each:.0f},{first / each:.3f}' for way, each in found.items()
            ]
            print(*rows[-len(found) :], sep="\n", flush=True)
    versions = ", ".join(f"{each} {version(each)}" for each in PEERS.values() if installed(each))
    machine = (
        f"{platform.machine()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads, torch {torch.__version__}"
    )
    about = f"# {datetime.date.today()}, {machine}, {versions}, batch {BATCH}, median of {arguments.rounds} rounds"
    path = Path(__file__).parent / "results" / "loader.csv"
    path.write_text("\n".join([f"{about}, load before {before:.2f}", *rows]) + "\n")


if __name__ == "__main__":
    main()
