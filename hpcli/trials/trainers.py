"""Trainers made by a config, and kept for the next one where that is possible."""

from __future__ import annotations

import dataclasses

from hpcli.config import Config, differing_keys
from hpcli.config.scope import Scope
from hpcli.data.dataset import Splits, load_splits
from hpcli.data.decode import OnDecode, silent
from hpcli.runs.trained_on import fitting
from hpcli.runs.weights import read_weights
from hpcli.training.ranks import ALONE, Ranks
from hpcli.training.trainer import Trainer


def new_trainer(
    config: Config,
    *,
    device: str = "auto",
    splits: Splits | None = None,
    on_decode: OnDecode = silent,
    ranks: Ranks = ALONE,
) -> Trainer:
    """The trainer that a config describes, with the weights of `init.weights` where it names some.

    Args:
        config: what is trained, and how.
        device: `auto`, `cpu`, `cuda` or `cuda:1`.
        splits: the images, if you have loaded them.
        on_decode: told (files done, files in all) while a folder is decoded.
        ranks: the processes that train together.

    Raises:
        ConfigError, DataError, UsageError: a network, data or a device that cannot be had.
        CheckpointError: weights that are not there, have changed, or belong to another network.
    """
    stored = None if config.init.weights is None else read_weights(config.init.weights)
    splits = splits or load_splits(config, on_decode=on_decode)
    weights = None if stored is None else fitting(stored, splits)
    return Trainer.from_config(config, device=device, splits=splits, weights=weights, ranks=ranks)


class Trainers:
    """Keeps one trainer from run to run, and makes another one where the config needs one.

    The test images are left out: values are chosen on validation images.
    """

    def __init__(self, config: Config, *, device: str = "auto", splits: Splits | None = None) -> None:
        self.device = device
        self.splits = _without_test(splits or load_splits(config))
        self._loaded = config  # whose images are in `splits`
        self._config = config  # whose trainer is kept
        self._trainer: Trainer | None = None

    def splits_for(self, config: Config) -> Splits:
        """The images of a config, loaded anew where others are asked for."""
        if differing_keys(self._loaded, config, of=Scope.IMAGES):
            self._loaded, self.splits = config, _without_test(load_splits(config))
        return self.splits

    def trainer_for(self, config: Config) -> Trainer:
        """A trainer at the start of a config's run."""
        kept = self._trainer
        if kept is None or config.init.weights or differing_keys(self._config, config, of=Scope.TRAINER):
            self.drop()  # its memory is free before the next one takes some
            kept = new_trainer(config, device=self.device, splits=self.splits_for(config))
        else:
            kept.optimizer.set_weight_decay(config.optimizer.weight_decay)
            kept.reset(config.seed)
        self._config, self._trainer = config, kept
        return kept

    def drop(self) -> None:
        """Forget the kept trainer, which may be broken."""
        self._trainer = None


def _without_test(splits: Splits) -> Splits:
    return dataclasses.replace(splits, test=None)
