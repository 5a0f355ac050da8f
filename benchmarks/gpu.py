"""What training costs on a GPU: the source's ResNet-56 on 45,000 random images of 32×32, batch 256, 1cycle.

    python benchmarks/gpu.py            # results go to benchmarks/results/gpu_<name of the card>.csv
    python benchmarks/gpu.py --tiny     # anywhere: that the script itself is right
    python benchmarks/gpu.py --only commands   # without the epochs, which take most of the time

An epoch is 175 steps and both evaluations. `raw` is a loop written by hand, on one batch that stays where it is: what
forward, backward and the fused optimizer cost by themselves. Medians of three; nothing else may use the card.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from interpolation import two_weights
from tables import write_rows
from torch import nn

from hpcli import Trainer, interpolate, load_config, lr_find, sweep, train
from hpcli.config import Config
from hpcli.data.dataset import ImageData, Split, Splits
from hpcli.models import build_model

RESULTS = Path(__file__).parent / "results"
CLASSES = 100
Configured = Callable[..., Config]
"""Keys of a config with __ for the dot, and their values → the config."""


def random_splits(count: int, size: int, held_out: int | None = None) -> Splits:
    """Images and labels that teach nothing and cost what real ones do, and some to measure on; None: a ninth as many."""
    random = np.random.default_rng(0)

    def split(images: int) -> Split:
        return Split(random.integers(0, 256, (images, size, size, 3), np.uint8), random.integers(0, CLASSES, images))

    learn, valid = split(count), split(held_out or count // 9)
    source = ImageData(learn, None, tuple(map(str, range(CLASSES))), (0.5,) * 3, (0.29,) * 3, flip=True)
    return Splits(learn, valid, None, source)


def median(action: Callable[[], Any], repeats: int = 3) -> float:
    """Seconds of an action that waits for the GPU, once it is warm."""
    took = []
    for _ in range(repeats + 1):
        torch.cuda.synchronize() if torch.cuda.is_available() else None
        begin = time.perf_counter()
        action()
        torch.cuda.synchronize() if torch.cuda.is_available() else None
        took.append(time.perf_counter() - begin)
    return statistics.median(took[1:])


def epochs(config: Config, splits: Splits, device: str) -> dict[str, object]:
    """Seconds of an epoch, of the first one, and the peak of the memory."""
    if device == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    seconds = [float(each) for each in train(config, device=device, splits=splits).epochs["seconds"]]
    peak = torch.cuda.max_memory_allocated() / 2**30 if device == "cuda" else None
    return {"seconds": statistics.median(seconds[1:]), "first": seconds[0], "peak_gib": peak}


def raw_step(model_name: str, batch: int, size: int, device: str, *, graph: bool) -> Callable[[], None]:
    """A step on a batch that stays where it is, by hand."""
    model = build_model(model_name, num_classes=CLASSES, in_channels=3, image_size=(size, size))
    model = model.to(device=device, memory_format=torch.channels_last).train()  # type: ignore[call-overload]
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)
    images = torch.randn(batch, 3, size, size, device=device).contiguous(memory_format=torch.channels_last)
    labels = torch.randint(0, CLASSES, (batch,), device=device)

    def descend() -> None:
        with torch.autocast(device, dtype=torch.bfloat16, enabled=device == "cuda"):
            logits = model(images)
        nn.functional.cross_entropy(logits.float(), labels).backward()

    def eager() -> None:
        descend()
        optimizer.step()
        optimizer.zero_grad()

    if not graph:
        return eager
    side = torch.cuda.Stream()
    with torch.cuda.stream(side):
        for _ in range(3):
            optimizer.zero_grad()
            descend()
    side.synchronize()
    optimizer.zero_grad()
    captured = torch.cuda.CUDAGraph()
    with torch.cuda.graph(captured):
        descend()

    def replayed(kept: object = (model, images, labels)) -> None:  # what the graph reads must not be freed
        captured.replay()
        optimizer.step()

    return replayed


Row = dict[str, object]


def row(what: str, seconds: float, first: float | None = None, peak_gib: float | None = None) -> Row:
    """As it is written."""
    return {"what": what, "seconds": f"{seconds:.3g}", "first": first, "peak_gib": peak_gib and round(peak_gib, 3)}


def epoch_rows(config: Configured, splits: Splits, device: str) -> Iterator[Row]:
    """An epoch in every way."""
    for precision in ("auto", "tf32", "fp32"):
        for graph in (False, True):
            found = epochs(config(train__precision=precision, train__cuda_graph=graph), splits, device)
            yield row(f"epoch, {precision}, {'CUDA graph' if graph else 'kernel by kernel'}", **found)  # type: ignore[arg-type]
    others: dict[str, dict[str, object]] = {
        "augment none": {"data__augment": "none"},
        "augment source": {"data__augment": "source"},
        "images on the host": {"data__resident_mb": 0},
        "compiled": {"train__compile": True},
    }
    for name, keys in others.items():
        yield row(f"epoch, auto, {name}", **epochs(config(**keys), splits, device))  # type: ignore[arg-type]


def raw_rows(config: Config, splits: Splits, device: str) -> Iterator[Row]:
    """The steps of an epoch by hand."""
    batch, size = config.data.batch_size, splits.train.images.shape[1]
    steps = len(splits.train) // batch
    torch.backends.cudnn.benchmark = True
    for graph in (False, True) if device == "cuda" else (False,):
        step = raw_step(config.model.name, batch, size, device, graph=graph)
        name = f"{steps} raw steps, {'CUDA graph' if graph else 'kernel by kernel'}"
        yield row(name, median(lambda step=step: [step() for _ in range(steps)]))
    torch.backends.cudnn.benchmark = False


def command_rows(config: Configured, splits: Splits, device: str) -> Iterator[Row]:
    """Evaluations, and the commands."""
    trainer = Trainer.from_config(config(), device=device, splits=splits)
    yield row(f"evaluate {len(splits.valid)} images", median(lambda: trainer.evaluate("valid")))
    yield row("the same, BatchNorm measured on 5,000", median(lambda: trainer.evaluate("valid", bn_images=5000)))
    yield row("reset", median(lambda: trainer.reset(1)))
    finder = config(lr_find__steps=100, lr_find__seeds=1)
    yield row("lr-find, 100 steps", median(lambda: lr_find(finder, trainer=trainer)))
    ends, line = two_weights(trainer), config(interpolate__alphas="0:1:11")
    yield row("interpolate, 11 alphas, both", median(lambda: interpolate(*ends, config=line, trainer=trainer), 1))
    short, values = config(sweep__epochs=1, sweep__seeds=2), {"weight_decay": [1e-4, 1e-2]}
    yield row("sweep, 4 trials of an epoch", median(lambda: sweep(short, values, device=device, splits=splits), 1))
    short = config(train__epochs=1)
    trials = [short, short, short, short]
    yield row(
        "four trainings of an epoch", median(lambda: [train(each, device=device, splits=splits) for each in trials], 1)
    )


def rows(device: str, model: str, batch: int, count: int, size: int, only: str | None) -> Iterator[Row]:
    """A row a measurement."""
    splits = random_splits(count, size)
    base = {"model.name": model, "data.batch_size": batch, "data.augment": "standard", "schedule.max_lr": 1e-2}

    def config(**more: object) -> Config:
        keys = {key.replace("__", "."): value for key, value in more.items()}
        return load_config(overrides={**base, "train.epochs": 3, **keys})

    if only in (None, "epochs"):
        yield from epoch_rows(config, splits, device)
        yield from raw_rows(config(), splits, device)
    if only in (None, "commands"):
        yield from command_rows(config, splits, device)


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--only", choices=["epochs", "commands"])
    parser.add_argument("--out", type=Path, default=RESULTS)
    asked = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    card = torch.cuda.get_device_name().replace(" ", "_") if device == "cuda" else "cpu"
    sizes = ("resnet20", 16, 320, 16) if asked.tiny else ("resnet56", 256, 45000, 32)

    def shown() -> Iterator[dict[str, object]]:
        for row in rows(device, *sizes, asked.only):
            print(f"{row['what']:45s} {row['seconds']:>8s} s", row["first"] or "", row["peak_gib"] or "", flush=True)
            yield row

    write_rows(asked.out / f"gpu_{card}.csv", shown())


if __name__ == "__main__":
    main()
