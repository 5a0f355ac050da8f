"""Before you train: whether data, network and learning rate can work at all, by a few short trainings.

Each is the one loop of the trainer over a constant schedule, on images divided for the purpose: a single batch, black
images, shuffled labels.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

import numpy as np

from hpcli.analysis import sanity
from hpcli.analysis.sanity import Check, Measured
from hpcli.config import Config, with_overrides
from hpcli.config.controls import finder_of, finds_rate
from hpcli.config.optimizers import scale_of
from hpcli.data.dataset import Split, Splits, load_splits
from hpcli.data.duplicates import digests, shared
from hpcli.data.randomness import SAMPLE, shuffled
from hpcli.data.statistics import entropy
from hpcli.results.check import CheckResult
from hpcli.runs.trained_on import fitting
from hpcli.runs.weights import read_weights
from hpcli.training.probe import first_gradients, switch_off_dropout
from hpcli.training.schedules import constant
from hpcli.training.trainer import Trainer
from hpcli.training.weights import Weights

IMAGES_A_STEP = 16
"""Images a step in the short trainings, at most."""
BY_HEART = 120
"""Steps on the one batch, at most: it ends where the batch is learnt."""
SHORT, SHORTEST = 150, 20
"""Steps of a short training, and the fewest where steps are slow."""
SHORT_SECONDS = 3.5
"""That a short training may take."""
MOST_TRAINED, MOST_VALID, FOR_BATCHNORM = 4096, 512, 256
"""Images of a short training, that it is measured on, and that BatchNorm is measured anew on for that."""
NAMED = 3
"""So many duplicates are named."""
SAFE = {"adamw": 1e-3, "sgd": 1e-2, "lion": 1e-4}
"""A learning rate that suits most networks, by optimizer."""


def check(config: Config, *, device: str = "auto", splits: Splits | None = None) -> CheckResult:
    """Look at a set-up before it is trained; nothing is written.

    Args:
        config: what would be trained.
        device: `auto`, `cpu`, `cuda` or `cuda:1`.
        splits: the images, if you have loaded them.

    Raises:
        ConfigError, DataError, UsageError, CheckpointError: what `train` would refuse, too.
    """
    began = time.monotonic()
    splits = splits or load_splits(config)
    probe = _Probe(config, splits, device)
    checks = [balance(splits), duplicates(splits), *probe.start()]
    rate, seconds = probe.forecast()
    checks += [*probe.one_batch(), probe.labels()]
    return CheckResult(tuple(checks), rate, seconds, config.train.epochs, time.monotonic() - began)


def balance(splits: Splits) -> Check:
    """The training images of each class."""
    classes = splits.source.classes
    counts = np.bincount(splits.train.labels, minlength=len(classes)).tolist()
    return sanity.balance(dict(zip(classes, counts, strict=True)))


def duplicates(splits: Splits) -> Check:
    """Training images that are also measured on, pixel by pixel."""
    parts = {"validation": splits.valid, "test": splits.test}
    train, classes = digests(splits.train.images), splits.source.classes
    counts, named = {}, []
    for name, part in parts.items():
        if part is not None and len(part):
            pairs = shared(train, digests(part.images))
            counts[name] = (len(pairs), len(part))
            for here, there in pairs[:NAMED]:
                own, other = classes[part.labels[there]], classes[splits.train.labels[here]]
                named.append(f"{name} {there} ({own}) is training {here} ({other})")
    return sanity.shared_images(counts, named[:NAMED])


class _Probe:
    """A config's trainers, each on images of its own."""

    def __init__(self, config: Config, splits: Splits, device: str) -> None:
        self.config, self.splits, self.device = config, splits, device
        name = config.init.weights
        self.weights: Weights | None = None if name is None else fitting(read_weights(name), splits)
        finds = finds_rate(config.optimizer.name)
        self.lr = config.schedule.max_lr / (1 if finds else 10)
        self.safe_lr = self.lr if finds else SAFE[scale_of(config.optimizer.name)]
        self.own = self._trainer(splits, {"data.batch_size": config.data.batch_size})
        self.step = 0.0  # seconds of one on the single batch

    def _trainer(self, splits: Splits, keys: Mapping[str, object]) -> Trainer:
        plain: dict[str, object] = {
            "train.compile": False, "train.cuda_graph": False, "train.ema": None, "data.steps_per_epoch": None,
            "train.mixup": 0.0, "train.cutmix": 0.0,
            "data.batch_size": min(IMAGES_A_STEP, len(splits.train), self.config.data.batch_size),
        }  # fmt: skip
        own = with_overrides(self.config, {**plain, **keys})
        return Trainer.from_config(own, device=self.device, splits=splits, weights=self.weights)

    def _losses(
        self, trainer: Trainer, steps: int, lr: float, *, ends: Callable[[list[float]], bool] = lambda _: False
    ) -> list[float]:
        """The losses of some steps at one learning rate, until one is not finite, or `ends` of them."""
        found: list[float] = []
        for report in trainer.train(constant(steps, lr, self.config.schedule.momentum.low)):
            for _, loss in report.losses:
                found.append(loss)
                if not math.isfinite(loss) or ends(found):
                    return found
        return found

    def start(self) -> Iterator[Check]:
        """The first loss and gradients, with the config's own batch."""
        is_fresh = self.weights is None and not self.config.model.pretrained
        loss, rms = first_gradients(self.own)
        yield sanity.start_loss(loss, len(self.splits.source.classes), is_fresh=is_fresh)
        yield sanity.gradients(rms)

    def forecast(self) -> tuple[float, float]:
        """Training images a second, and the seconds of all epochs with their evaluations."""
        trainer, taken, began = self.own, 0, 0.0
        for report in trainer.train(constant(SHORT, self.lr, self.config.schedule.momentum.low)):
            report.wait()
            if report.step == 0:  # the first one sets things up
                began = time.monotonic()
                continue
            taken = report.step
            if time.monotonic() - began > SHORT_SECONDS / 2 and taken >= 2:
                break
        step = (time.monotonic() - began) / max(taken, 1)
        batch, config = self.config.data.batch_size, self.config
        steps = self.splits.steps_per_epoch(batch, config.data.steps_per_epoch)
        measured = 2 * len(self.splits.valid) / batch / 3  # also a sample of training images; forward is a third
        return batch / step, config.train.epochs * step * (steps + measured)

    def one_batch(self) -> Iterator[Check]:
        """Whether a batch can be learnt by heart, and without its images; the learning rate that can is kept."""
        first = self.splits.train.take(shuffled(len(self.splits.train), SAMPLE)[:IMAGES_A_STEP])
        began = time.monotonic()
        losses, safe, safe_lr = self._by_heart(first, self.lr), None, self.safe_lr
        self.step = (time.monotonic() - began) / len(losses)
        if not sanity.is_learnt(losses):
            safe = self._by_heart(first, safe_lr)
        name = self.config.optimizer.name
        share = "max_lr" if finds_rate(name) else "a tenth of max_lr"
        yield sanity.one_batch(losses, self.lr, safe, safe_lr, share=share, finder=finder_of(name))
        if safe is not None and sanity.is_learnt(safe):
            self.lr, losses = safe_lr, safe
        yield sanity.blank_input(losses, self._by_heart(_black(first), self.lr, len(losses)))

    def labels(self) -> Check:
        """Short trainings with the labels as they are, and shuffled."""
        steps, splits = int(min(SHORT, max(SHORTEST, SHORT_SECONDS / max(self.step, 1e-6)))), self.splits
        train = splits.train.take(shuffled(len(splits.train), SAMPLE, 1)[:MOST_TRAINED])
        valid = splits.valid.take(shuffled(len(splits.valid), SAMPLE, 2)[:MOST_VALID])
        mixed = Split(train.images, train.labels[shuffled(len(train), SAMPLE, 3)])
        real, nonsense = (self._short(Splits(each, valid, None, splits.source), steps) for each in (train, mixed))
        chance = entropy(np.bincount(valid.labels))
        return sanity.shuffled_labels(real, nonsense, chance=chance, steps=steps, images=len(valid))

    def _by_heart(self, batch: Split, lr: float, steps: int = BY_HEART) -> list[float]:
        keys = {"data.augment": "none", "train.label_smoothing": 0.0, "optimizer.weight_decay": 0.0}
        trainer = self._trainer(replace(self.splits, train=batch), keys)
        switch_off_dropout(trainer.model)
        return self._losses(trainer, steps, lr, ends=sanity.is_learnt)

    def _short(self, splits: Splits, steps: int) -> Measured:
        trainer = self._trainer(splits, {"data.augment": "none"})
        losses = self._losses(trainer, steps, self.lr)
        found = trainer.evaluate("valid", bn_images=min(FOR_BATCHNORM, len(splits.train)))
        return Measured(found.loss, found.standard_error, losses)


def _black(part: Split) -> Split:
    return Split(np.zeros_like(part.images), part.labels)
