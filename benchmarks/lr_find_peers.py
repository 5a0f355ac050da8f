"""`lr-find` beside fastai 2 and pytorch-lr-finder: same network, images, batch size, weight decay, range and seeds.

    pip install fastai torch-lr-finder && python benchmarks/lr_find_peers.py

On the digits, un-augmented, held in memory for all three: what differs is the finder. `spread`: the largest suggestion over
the smallest, five seeds. `steps`: the factor by which the median moves with three times the steps (three seeds each).
`seconds`: median time of one test of 210 steps. `valid_loss`: after 1cycle, ten epochs, at the median suggestion; mean of
five seeds. hpcli's row is one seed at a time; the command takes the median of three. Results go to
benchmarks/results/lr_find_peers.csv.
"""

from __future__ import annotations

import contextlib
import datetime
import importlib.metadata
import io
import os
import platform
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import matplotlib as mpl
import numpy as np
import torch
from fastai.callback.schedule import SuggestionMethod  # which adds Learner.lr_find
from fastai.data.core import DataLoaders
from fastai.learner import Learner
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset
from torch_lr_finder import LRFinder

from hpcli import Trainer, load_config, lr_find, train
from hpcli.config import with_overrides
from hpcli.models import build_model

SETTINGS = {"data.augment": "none", "data.validation": 0.4}
START_LR, END_LR = 1e-6, 10.0
CONFIG = with_overrides(load_config(), {**SETTINGS, "lr_find.start_lr": START_LR, "lr_find.end_lr": END_LR})
TRAINER = Trainer.from_config(CONFIG)
Finder = Callable[[int, int], dict[str, float | None]]


def images() -> tuple[Tensor, Tensor]:
    """All training images as the network gets them, and their labels."""
    loader = TRAINER.data.loader
    return loader.normalize(loader.images), loader.labels


def network(seed: int) -> nn.Module:
    """A fresh resnet20, the same for all finders."""
    torch.manual_seed(seed)
    return build_model(CONFIG.model.name, num_classes=10, in_channels=1, image_size=(8, 8)).to(
        memory_format=torch.channels_last
    )  # type: ignore[call-overload, no-any-return]


def with_hpcli(seed: int, steps: int) -> dict[str, float | None]:
    """One test by hpcli."""
    TRAINER.reset(seed)
    config = with_overrides(CONFIG, {"lr_find.steps": steps, "lr_find.seeds": 1})
    suggestion = lr_find(config, trainer=TRAINER).suggestion
    return {"hpcli": suggestion.suggested_lr if suggestion else None}


def with_fastai(seed: int, steps: int) -> dict[str, float | None]:
    """One test by fastai 2: its four rules."""
    model = network(seed)
    data = TensorDataset(*images())
    loaders = DataLoaders.from_dsets(data, data, bs=CONFIG.data.batch_size, num_workers=0, device=torch.device("cpu"))
    learner = Learner(loaders, model, loss_func=nn.CrossEntropyLoss(), wd=CONFIG.optimizer.weight_decay)
    rules = (SuggestionMethod.Valley, SuggestionMethod.Slide, SuggestionMethod.Steep, SuggestionMethod.Minimum)
    with learner.no_bar():
        found = learner.lr_find(START_LR, END_LR, num_it=steps, show_plot=False, suggest_funcs=rules)
    return {f"fastai {name}": float(lr) for name, lr in found._asdict().items()}


def with_pytorch_lr_finder(seed: int, steps: int) -> dict[str, float | None]:
    """One test by pytorch-lr-finder: its steepest gradient, read off its plot."""
    model = network(seed)
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=START_LR, betas=(0.85, 0.99), weight_decay=CONFIG.optimizer.weight_decay
    )
    loader = DataLoader(TensorDataset(*images()), batch_size=CONFIG.data.batch_size, shuffle=True, drop_last=True)
    finder = LRFinder(model, optimizer, nn.CrossEntropyLoss(), device="cpu")
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        finder.range_test(loader, end_lr=END_LR, num_iter=steps)
        _, suggested = finder.plot()
    finder.reset()
    return {"pytorch-lr-finder steepest": float(suggested)}


FINDERS: tuple[Finder, ...] = (with_hpcli, with_fastai, with_pytorch_lr_finder)


def measured() -> tuple[dict[str, dict[int, list[float]]], dict[str, list[float]]]:
    """Suggestions by finder and number of steps, a seed each; seconds of the short tests. Finders take turns."""
    suggestions: dict[str, dict[int, list[float]]] = {}
    seconds: dict[str, list[float]] = {}
    for finder in FINDERS:
        finder(99, 40)  # warm-up
    for steps, seeds in ((210, 5), (630, 3)):
        for seed in range(seeds):
            for finder in FINDERS:
                started = time.perf_counter()
                found = finder(seed, steps)
                took = time.perf_counter() - started
                for name, lr in found.items():
                    suggestions.setdefault(name, {}).setdefault(steps, []).append(lr or np.nan)
                    if steps == 210:
                        seconds.setdefault(name, []).append(took)
    return suggestions, seconds


def loss_at(max_lr: float) -> list[float]:
    """Validation losses of five seeds after 1cycle to this learning rate."""
    losses = []
    for seed in range(5):
        TRAINER.reset(seed)
        result = train(with_overrides(CONFIG, {"schedule.max_lr": max_lr}), trainer=TRAINER)
        losses.append(np.nan if result.valid_loss is None else result.valid_loss)
    return losses


def main() -> None:
    """Measure, train at what was suggested, and write a row a rule."""
    mpl.use("Agg")
    suggestions, seconds = measured()
    path = Path(__file__).parent / "results" / "lr_find_peers.csv"
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("fastai", "torch-lr-finder"))
    with path.open("w", newline="") as file:
        machine = f"{platform.machine()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads, torch {torch.__version__}"
        file.write(
            f"# {datetime.date.today()}, {machine}, {versions}; digits, resnet20, AdamW, batch 64, no augmentation\n"
        )
        write = partial(print, sep=",", file=file, flush=True)
        write("finder", "median_lr", "spread", "steps", "seconds", "valid_loss", "valid_loss_sd")
        for name, by_steps in suggestions.items():
            median, long = (float(np.nanmedian(by_steps[steps])) for steps in (210, 630))
            short = float(np.nanmedian(by_steps[210][:3]))
            spread = np.nanmax(by_steps[210]) / np.nanmin(by_steps[210])
            losses = loss_at(median)
            numbers = (
                median,
                spread,
                max(short / long, long / short),
                np.median(seconds[name]),
                np.mean(losses),
                np.std(losses, ddof=1),
            )
            write(name, *(f"{number:.4g}" for number in numbers))


if __name__ == "__main__":
    main()
