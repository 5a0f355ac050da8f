"""What a trained network takes images for that nobody has labelled."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hpcli.config import Config, load_config
from hpcli.data.dataset import load_splits
from hpcli.data.decode import ImageFormat, common_white, read_headers
from hpcli.data.unlabelled import PictureBatch, find_images, read_batches, size_of_first
from hpcli.errors import CheckpointError, DataError
from hpcli.experiments.evaluate import check_numbers
from hpcli.results.data import DataFacts
from hpcli.results.predict import Answer, PredictResult, answers
from hpcli.runs.weights import Stored, read_weights, shared_config
from hpcli.training.classifier import Classifier


def predict(
    run: Path | str,
    images: Path | str | Sequence[Path | str],
    *,
    config: Config | None = None,
    image_size: int | None = None,
    device: str = "auto",
) -> PredictResult:
    """What a run's network takes images for; nothing is written.

    The images are decoded and normalised as the training images were.

    Args:
        run: a checkpoint as `load_weights` takes it.
        images: a file, a folder, all whose images are meant, or several of them.
        config: of the network; None: the one beside the checkpoint.
        image_size: the shorter side is scaled to it and the middle cut out; None: as in training.
        device: `auto`, `cpu`, `cuda` or `cuda:1`.

    Raises:
        UsageError: there is no config beside the checkpoint.
        CheckpointError: weights that are not there, not finite, or another network's.
        DataError: no such images, or none that can be read; or it is not known what the network was trained on.
    """
    places = [images] if isinstance(images, str | Path) else images
    named = find_images([Path(each) for each in places])
    predictor = Predictor.open(run, named, config=config, image_size=image_size, device=device)
    files: list[Path] = []
    rows: list[NDArray[np.float32]] = []
    unreadable: dict[Path, str] = {}
    for batch, probabilities in predictor.batches():
        unreadable |= {batch.files[place]: reason for place, reason in batch.unreadable.items()}
        files += [file for place, file in enumerate(batch.files) if place not in batch.unreadable]
        rows.append(probabilities)
    if not files:
        raise none_readable(*next(iter(unreadable.items())), len(unreadable))
    return PredictResult(predictor.names, tuple(files), np.concatenate(rows), unreadable)


def none_readable(file: Path, reason: str, count: int) -> DataError:
    """The error where no image of several can be read."""
    return DataError(f"{file}: cannot be read ({reason})" + (f", nor can {count - 1} others" if count > 1 else ""))


@dataclass(frozen=True)
class Predictor:
    """A network and the files that it is to answer."""

    classifier: Classifier
    names: tuple[str, ...]  # of its classes, by label
    files: tuple[Path, ...]
    form: ImageFormat
    image_size: int | None

    @classmethod
    def open(
        cls,
        run: Path | str,
        files: Sequence[Path],
        *,
        config: Config | None = None,
        image_size: int | None = None,
        device: str = "auto",
    ) -> Predictor:
        """Read a run's network; see `predict`."""
        stored = read_weights(run)
        config = config or load_config(shared_config([run]))
        check_numbers(stored.weights, stored.name)
        facts = facts_of(stored, config)
        size = image_size or config.data.image_size
        form = facts.format or ImageFormat(3)
        known = (size, size) if size else form.size or size_of_first(files)
        form = replace(form, size=known, white=form.white or common_white(read_headers(files)))
        try:
            classifier = Classifier(
                config, stored.weights, num_classes=len(facts.names), shape=(*known, form.channels),
                mean=facts.mean, std=facts.std, device=device,
            )  # fmt: skip
        except CheckpointError as error:
            raise CheckpointError(f"{stored.name}: {error}") from None
        return cls(classifier, facts.names, tuple(files), form, size)

    def batches(self) -> Iterator[tuple[PictureBatch, NDArray[np.float32]]]:
        """The files in their order, a batch at a time, with the probabilities [N, K] of those that can be read."""
        at_once = self.classifier.at_once
        for batch in read_batches(self.files, self.form, image_size=self.image_size, at_once=at_once):
            yield batch, self.classifier.probabilities(batch.pixels)

    def answers(self, count: int) -> Iterator[Answer]:
        """A row a file: its `count` likeliest classes, or why it cannot be read. One batch is in memory at a time."""
        for batch, probabilities in self.batches():
            yield from answers(batch.files, probabilities, batch.unreadable, self.names, count)


def facts_of(stored: Stored, config: Config) -> DataFacts:
    """What a network was trained on: as its weights say, else as its training data still do.

    Raises:
        DataError: neither do.
    """
    if stored.data is not None and stored.data.mean:
        return stored.data
    try:
        return DataFacts.of(load_splits(config))
    except DataError as error:
        raise DataError(
            f"{stored.name}: does not say by what its images were normalised, and its training data are not there to "
            f"measure that ({error})"
        ) from None
