"""Train a model by the config's schedule."""

from __future__ import annotations

import numpy as np

from hpcli.config import Config
from hpcli.data.dataset import Splits
from hpcli.data.loader import TrainLoader
from hpcli.recording.memory import MemoryRecorder
from hpcli.recording.progress import OnProgress
from hpcli.recording.recorder import Arrays, Recorder
from hpcli.results.batch import BATCH
from hpcli.results.train import TrainResult
from hpcli.training.device import generators_kept
from hpcli.training.trainer import Trainer
from hpcli.trials.run import run_training
from hpcli.trials.trainers import new_trainer
from hpcli.views.progress import shown

PICTURES = 36
"""Images of the first batch that are kept, to be looked at."""


@generators_kept()
def train(
    config: Config,
    *,
    recorder: Recorder | None = None,
    on_progress: OnProgress | None = None,
    device: str = "auto",
    splits: Splits | None = None,
    trainer: Trainer | None = None,
) -> TrainResult:
    """Train, evaluating after every epoch; on the test images, if any are set apart, once at the end.

    The random generators of torch, numpy and python are afterwards as they were found.

    Args:
        config: what to train and how.
        recorder: where rows and checkpoints go; None: memory. One with a saved state is resumed from it, bit for bit.
        on_progress: called after every step whose loss has arrived, and every epoch; None: nobody, in IPython a bar.
        device: `auto`, `cpu`, `cuda` or `cuda:1`; not used with a `trainer`.
        splits: the images, if you have loaded them; not used with a `trainer`.
        trainer: train this one from where it is, and keep it for its model. None: a new one.

    Returns:
        The result; a run that diverges ends early with status `diverged`, it is not an error.

    Raises:
        ConfigError, DataError, UsageError, CheckpointError: from building the trainer.
    """
    recorder = recorder or MemoryRecorder()
    trainer = trainer or new_trainer(config, device=device, splits=splits)
    if recorder.arrays(BATCH) is None:
        recorder.keep_arrays(BATCH, _first_batch(trainer.data.loader))
    return run_training(config, trainer, recorder, shown(on_progress, "train"))


def _first_batch(loader: TrainLoader) -> Arrays:
    """What is kept of it: images, labels, and where they are mixed the labels of their partners and the own share."""
    images, labels = loader.pictures(0)
    found = {"images": images[:PICTURES].cpu().numpy(), "labels": labels[:PICTURES].cpu().numpy()}
    mix = loader.mix(0)
    if mix is not None:
        found |= {"partners": labels.flip(0)[:PICTURES].cpu().numpy(), "share": np.array(mix.share)}
    return found
