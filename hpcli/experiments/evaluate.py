"""Evaluate weights on a part of the data: how right they are, class by class, and what they take for what."""

from __future__ import annotations

import math
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np

from hpcli.config import Config
from hpcli.data.dataset import Splits, load_splits
from hpcli.data.decode import OnDecode, silent
from hpcli.errors import CheckpointError, HpcliWarning, UsageError
from hpcli.recording.memory import MemoryRecorder
from hpcli.recording.recorder import Recorder
from hpcli.results.data import DataFacts
from hpcli.results.evaluate import (
    MISTAKES,
    ClassScore,
    EvaluateResult,
    Guess,
    Mistake,
    Score,
    class_scores,
    guesses,
)
from hpcli.runs.trained_on import fitting
from hpcli.runs.weights import Stored, read_weights
from hpcli.states import RunStatus
from hpcli.training.evaluation import Evaluation
from hpcli.training.trainer import Trainer
from hpcli.training.weights import Weights, first_not_finite

MOST_MISTAKES = 16
"""So many images are shown of those that are taken for something else, those of highest loss."""
LARGEST = 256
"""Pixels along the longer side, up to which they are kept as they are; of larger ones every second, third … pixel."""


def evaluate(
    model: Config | Trainer,
    weights: Weights | Path | str | None = None,
    *,
    split: str | None = None,
    recorder: Recorder | None = None,
    device: str = "auto",
    splits: Splits | None = None,
) -> EvaluateResult:
    """Measure a model, un-augmented and in evaluation mode.

    Args:
        model: a trainer, whose state is put back as it was; or a config: its data and its network.
        weights: tensors by name, or a checkpoint as `load_weights` takes it; None: the trainer's own, or those of
            `evaluate.checkpoint` in the config.
        split: `train` (a sample), `valid` or `test`; None: what the config says, else the test images, or where there
            are none those that validate.
        recorder: where rows go; None: memory.
        device: `auto`, `cpu`, `cuda` or `cuda:1`; not used with a trainer.
        splits: the images, if you have loaded them; not used with a trainer.

    Raises:
        UsageError: no weights are named anywhere.
        CheckpointError: weights that are not there, are not finite, or belong to another network or other classes.
        DataError: there are no such images.
    """
    recorder, config = recorder or MemoryRecorder(), model if isinstance(model, Config) else None
    if isinstance(model, Config):
        weights = weights or model.evaluate.checkpoint
        if weights is None:
            raise UsageError("evaluate.checkpoint: none given; name a run folder or a file")
        split = split or model.evaluate.split
    stored = read_weights(weights) if isinstance(weights, str | Path) else weights
    if isinstance(model, Config):
        about = stored.data if isinstance(stored, Stored) else None
        splits = _normalised(splits or _load(model, about), about)
    trainer = Trainer.from_config(model, device=device, splits=splits) if isinstance(model, Config) else model
    weights = fitting(stored, trainer.data.splits, config) if isinstance(stored, Stored) else stored
    before = trainer.state_dict()
    try:
        if weights is not None:
            trainer.load_weights(weights)
        check_numbers(trainer.model.state_dict(), stored.name if isinstance(stored, Stored) else "weights")
        _measure(trainer, split, recorder)
    finally:
        trainer.load_state_dict(before)
    result = EvaluateResult.from_rows(config, RunStatus.FINISHED, recorder)
    is_measured = result.score is not None and math.isfinite(result.score.loss)
    return result if is_measured else replace(result, status=RunStatus.DIVERGED)


def load_to_evaluate(config: Config, *, on_decode: OnDecode = silent, list_only: bool = False) -> Splits:
    """The images to measure a config's `evaluate.checkpoint` on. It is looked at before any is decoded.

    Raises:
        CheckpointError: it cannot be read.
        DataError: there is nothing to measure on.
    """
    about = None if config.evaluate.checkpoint is None else read_weights(config.evaluate.checkpoint).data
    return _load(config, about, on_decode=on_decode, list_only=list_only)


def check_finite(checkpoint: str | None) -> None:
    """Check that a checkpoint's weights are numbers; None: there is nothing to check.

    Raises:
        CheckpointError: some are not.
    """
    if checkpoint is not None:
        stored = read_weights(checkpoint)
        check_numbers(stored.weights, stored.name)


def check_numbers(weights: Weights, name: str) -> None:
    """Check that weights, called by that name, are finite.

    Raises:
        CheckpointError: some are not.
    """
    broken = first_not_finite(weights)
    if broken is not None:
        raise CheckpointError(
            f"{name}: {broken} holds numbers that are not finite: its run diverged; take an earlier checkpoint, "
            "such as RUN:best"
        )


def _load(config: Config, about: DataFacts | None, *, on_decode: OnDecode = silent, list_only: bool = False) -> Splits:
    classes = None if about is None else about.names
    known = None if about is None else about.format
    return load_splits(config, on_decode=on_decode, list_only=list_only, trains=False, classes=classes, known=known)


def _normalised(splits: Splits, about: DataFacts | None) -> Splits:
    """The images, to be normalised as those were that the weights were trained on, where that is known."""
    if about is None or len(about.mean) != len(splits.source.mean):
        return splits
    height, width = splits.train.images.shape[1:3]
    if about.size is not None and about.size != (height, width):
        then = f"{about.size[1]}×{about.size[0]}"
        advice = f"--set data.image_size={min(about.size)} scales them"
        text = f"images are {width}×{height}, the network was trained on {then}; {advice}"
        warnings.warn(text, HpcliWarning, stacklevel=3)
    return replace(splits, source=replace(splits.source, mean=about.mean, std=about.std))


def _measure(trainer: Trainer, split: str | None, recorder: Recorder) -> None:
    splits = trainer.data.splits
    split = split or ("valid" if splits.test is None else "test")
    scores = trainer.evaluate(split, by_class=True)
    confusion, classes = np.asarray(scores.confusion), splits.source.classes
    DataFacts.of(splits).record(recorder)
    recorder.replace(ClassScore, list(class_scores(confusion, classes)))
    recorder.replace(Guess, list(guesses(confusion, classes)))
    recorder.replace(Score, [Score(split, int(confusion.sum()), scores.loss, scores.accuracy, scores.top5)])
    _keep_mistakes(trainer, split, scores, recorder)


def _keep_mistakes(trainer: Trainer, split: str, scores: Evaluation, recorder: Recorder) -> None:
    """Record the images that the network is most wrong about, as people see them."""
    if scores.guesses is None or not math.isfinite(scores.loss):
        return
    loader = trainer.data.eval_loader(split)
    labels, guesses = loader.labels.cpu().numpy(), scores.guesses
    order = np.argsort(-scores.losses, kind="stable")
    worst = order[guesses.labels[order] != labels[order]][:MOST_MISTAKES]
    places, classes = loader.index.cpu().numpy()[worst], trainer.data.splits.source.classes
    rows = [
        Mistake(
            int(place), classes[labels[each]], classes[guesses.labels[each]],
            float(guesses.probabilities[each]), float(scores.losses[each]),
        )
        for place, each in zip(places, worst, strict=True)
    ]  # fmt: skip
    recorder.replace(Mistake, rows)
    if rows:
        images = trainer.data.splits.part(split).images[places]
        step = -(-max(images.shape[1:3]) // LARGEST)
        recorder.keep_arrays(MISTAKES, {"images": np.ascontiguousarray(images[:, ::step, ::step])})
