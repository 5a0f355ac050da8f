"""Other programs for `loader.py`, where they are installed: `pip install fastai lightning torch-lr-finder`.

All train the network that they are given, on the images that `loader.py` makes, with their own usual optimizer and loop.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import logging
import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.utils.data import DataLoader

Turn = Callable[[int], None]
Loaders = Callable[[int, int], DataLoader[Any]]
"""Number of workers and of steps → a loader of so many batches."""
LOWEST, HIGHEST = 1e-6, 10.0


def installed(name: str) -> bool:
    """Whether a package is there."""
    return importlib.util.find_spec(name) is not None


def fastai(model: nn.Module, loaders: Loaders, workers: int, steps: int) -> dict[str, Turn]:
    """Learner.fit without validation, `steps` at a time, or Learner.lr_find."""
    from fastai.callback.core import Callback, CancelValidException
    from fastai.callback.schedule import SuggestionMethod  # which adds Learner.lr_find
    from fastai.data.core import DataLoaders
    from fastai.data.load import DataLoader as FastLoader
    from fastai.learner import Learner

    class NoValidation(Callback):  # type: ignore[misc]
        def before_validate(self) -> None:
            raise CancelValidException

    own = loaders(0, steps)
    loader = FastLoader(own.dataset, bs=own.batch_size, shuffle=True, drop_last=True, num_workers=workers)
    learner = Learner(DataLoaders(loader, loader), model, loss_func=nn.CrossEntropyLoss(), wd=1e-2, cbs=NoValidation())

    def fit(_: int) -> None:
        with learner.no_bar(), learner.no_logging():
            learner.fit(1, 1e-3)

    def find(count: int) -> None:
        with learner.no_bar(), learner.no_logging(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            learner.lr_find(LOWEST, HIGHEST, num_it=count, show_plot=False, suggest_funcs=(SuggestionMethod.Valley,))

    return {"train": fit, "range test": find}


def lightning(model: nn.Module, loaders: Loaders, workers: int, steps: int) -> Turn:
    """Trainer.fit without logger, checkpoints and bar."""
    import lightning as pl

    class Module(pl.LightningModule):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def training_step(self, batch: Any, _: int) -> Any:
            return nn.functional.cross_entropy(self.model(batch[0]), batch[1])

        def configure_optimizers(self) -> Any:
            return torch.optim.AdamW(self.parameters(), lr=1e-3, weight_decay=1e-2, fused=True)

    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    module, loader = Module(), loaders(workers, steps)

    def fit(_: int) -> None:
        with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            trainer = pl.Trainer(
                max_epochs=1, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
                enable_model_summary=False,
            )  # fmt: skip
            trainer.fit(module, loader)

    return fit


def pytorch_lr_finder(model: nn.Module, loaders: Loaders, workers: int, steps: int) -> Turn:
    """LRFinder.range_test and its suggestion."""
    from torch_lr_finder import LRFinder

    loader = loaders(workers, steps)

    def find(count: int) -> None:
        optimizer = torch.optim.AdamW(model.parameters(), lr=LOWEST, weight_decay=1e-2, fused=True)
        finder = LRFinder(model, optimizer, nn.CrossEntropyLoss(), device="cpu")
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            finder.range_test(loader, end_lr=HIGHEST, num_iter=count)
            finder.plot()
        finder.reset()

    return find
