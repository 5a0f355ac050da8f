"""A data set of one's own: what it must give, and what is done where it gives less or something else."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from hpcli import ImageData, Split, catalog, evaluate, load_config, train
from hpcli.config import Config
from hpcli.data.dataset import load_splits
from hpcli.data.statistics import channel_statistics
from hpcli.errors import CheckpointError, ConfigError, DataError
from hpcli.states import RunStatus
from hpcli.training.trainer import Trainer

LABELS = np.arange(60) % 3
IMAGES = np.random.default_rng(0).integers(0, 80, (60, 8, 8, 3), np.uint8) + np.uint8(60) * LABELS[
    :, None, None, None
].astype(np.uint8)


def config_for(monkeypatch: pytest.MonkeyPatch, source: object, **keys: object) -> Config:
    """A config whose data are what a function of one's own returns."""
    given = catalog.load_named
    monkeypatch.setattr(
        catalog,
        "load_named",
        lambda known, *more: (lambda: source) if known is catalog.DATASETS else given(known, *more),
    )
    base = {
        "data.name": "mine:images",
        "data.validation": "auto",
        "data.batch_size": 10,
        "model.name": "shallow3",
        "train.epochs": 1,
    }
    return load_config(overrides={**base, **{key.replace("__", "."): value for key, value in keys.items()}})


def test_training_images_are_all_it_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    config = config_for(monkeypatch, ImageData(Split(IMAGES, LABELS)))
    splits = load_splits(config)
    assert splits.source.classes == ("0", "1", "2")
    assert (splits.source.mean, splits.source.std) == channel_statistics(IMAGES)
    assert not splits.source.flip
    assert splits.test is None
    assert train(config, splits=splits, device="cpu").status == RunStatus.FINISHED


def test_what_it_says_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    part = Split(IMAGES, LABELS)
    own = ImageData(part, part, ("a", "b", "c"), (0.1, 0.2, 0.3), (0.4, 0.5, 0.6), flip=True, valid=part)
    splits = load_splits(config_for(monkeypatch, own))
    kept = splits.source
    assert (kept.classes, kept.mean, kept.std, kept.flip) == (own.classes, own.mean, own.std, True)
    assert len(splits.valid) == 60


@pytest.mark.parametrize(
    ("source", "why"),
    [
        (ImageData(Split(IMAGES / 255, LABELS)), "its images are float64"),
        (ImageData(Split(IMAGES, LABELS - 1)), "its labels go from -1"),
        (ImageData(Split(IMAGES, LABELS), classes=("a", "b")), "with 2 classes they must be 0 to 1"),
        (None, "returns NoneType; it must return an hpcli.ImageData"),
    ],
)
def test_what_is_wrong_is_said(source: object, why: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match=why):
        load_splits(config_for(monkeypatch, source))


def test_batchnorm_with_one_image_a_batch_is_refused_before_training(monkeypatch: pytest.MonkeyPatch) -> None:
    source = ImageData(Split(IMAGES, LABELS))
    for name, options in (("resnet20", {"num_blocks": [1, 1, 1]}), ("torchvision/resnet18", {})):
        config = config_for(monkeypatch, source, model__name=name, model__options=options, data__batch_size=1)
        with pytest.raises(ConfigError, match=f"data.batch_size: 1: {name} has BatchNorm, which needs more; raise it"):
            train(config, device="cpu")
    result = train(config_for(monkeypatch, source, data__batch_size=1, data__train_fraction=0.2), device="cpu")
    assert math.isfinite(result.steps["train_loss"][-1])


def test_weights_that_are_no_numbers_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    config = config_for(monkeypatch, ImageData(Split(IMAGES, LABELS)))
    trainer = Trainer.from_config(config, device="cpu")
    before = {name: weight.clone() for name, weight in trainer.model.state_dict().items()}
    for bad in (math.nan, math.inf):
        weights = {**before, "linear.weight": torch.full_like(before["linear.weight"], bad)}
        with pytest.raises(CheckpointError, match=r"weights: linear\.weight holds numbers that are not finite"):
            evaluate(config, weights, device="cpu")
        with pytest.raises(CheckpointError, match=r"linear\.weight holds numbers that are not finite"):
            evaluate(trainer, weights)
        assert all(torch.equal(before[name], weight) for name, weight in trainer.model.state_dict().items())


def test_a_loss_that_is_no_number_is_no_accuracy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights that are finite, and so large that what they answer is not."""
    config = config_for(monkeypatch, ImageData(Split(IMAGES, LABELS)))
    start = Trainer.from_config(config, device="cpu").model.state_dict()
    result = evaluate(config, {name: weight.float() * 1e38 for name, weight in start.items()}, device="cpu")
    assert result.status == RunStatus.DIVERGED
    assert "means nothing" in str(result.summary()["sentence"])
