"""Evaluate weights on a part of the data: how right they are, class by class, and what they take for what."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from hpcli.config import Config
from hpcli.data.dataset import Splits
from hpcli.errors import UsageError
from hpcli.recording.memory import MemoryRecorder
from hpcli.recording.recorder import Recorder
from hpcli.results.data import DataFacts
from hpcli.results.evaluate import ClassScore, EvaluateResult, Guess, Score, class_scores, guesses
from hpcli.runs.trained_on import fitting
from hpcli.runs.weights import Stored, read_weights
from hpcli.states import RunStatus
from hpcli.training.trainer import Trainer, Weights


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
        CheckpointError: weights that are not there, or belong to another network.
        DataError: there are no such images.
    """
    recorder, config = recorder or MemoryRecorder(), model if isinstance(model, Config) else None
    if isinstance(model, Config):
        weights = weights or model.evaluate.checkpoint
        if weights is None:
            raise UsageError("evaluate.checkpoint: none given; name a run folder or a file")
        split = split or model.evaluate.split
    stored = read_weights(weights) if isinstance(weights, str | Path) else weights
    trainer = Trainer.from_config(model, device=device, splits=splits) if isinstance(model, Config) else model
    weights = fitting(stored, trainer.data.splits, config) if isinstance(stored, Stored) else stored
    before = trainer.state_dict()
    try:
        if weights is not None:
            trainer.load_weights(weights)
        _measure(trainer, split, recorder)
    finally:
        trainer.load_state_dict(before)
    return EvaluateResult.from_rows(config, RunStatus.FINISHED, recorder)


def _measure(trainer: Trainer, split: str | None, recorder: Recorder) -> None:
    splits = trainer.data.splits
    split = split or ("valid" if splits.test is None else "test")
    scores = trainer.evaluate(split, by_class=True)
    confusion, classes = np.asarray(scores.confusion), splits.source.classes
    DataFacts.of(splits).record(recorder)
    recorder.replace(ClassScore, list(class_scores(confusion, classes)))
    recorder.replace(Guess, list(guesses(confusion, classes)))
    recorder.replace(Score, [Score(split, int(confusion.sum()), scores.loss, scores.accuracy, scores.top5)])
