from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hpcli import plots
from hpcli.config import Config, with_overrides
from hpcli.errors import DataError
from hpcli.experiments.evaluate import evaluate
from hpcli.experiments.store import MemoryStore
from hpcli.experiments.train import train
from hpcli.training.trainer import Trainer


@pytest.fixture
def trainer(config: Config) -> Trainer:
    trainer = Trainer(with_overrides(config, {"train.epochs": 6}))
    train(trainer.config, trainer=trainer)
    return trainer


def test_the_numbers_agree(trainer: Trainer) -> None:
    """The confusion matrix against the accuracy that training measures, and the rows against the matrix."""
    store = MemoryStore()
    result = evaluate(trainer, store=store)
    assert result.summary["split"] == "test"
    assert result.confusion.sum() == result.summary["images"] == 359
    assert result.confusion.sum(1).tolist() == np.bincount(trainer.splits.test.labels).tolist()  # type: ignore[union-attr]
    assert result.confusion.trace() / 359 == pytest.approx(trainer.evaluate("test").accuracy)
    rows = store.tables["evaluation"]
    assert [row["class"] for row in rows] == list("0123456789")
    for label, row in enumerate(rows):
        assert row["accuracy"] == pytest.approx(result.confusion[label, label] / row["images"])
        others = np.delete(result.confusion[label], label)
        if others.max():
            assert result.confusion[label, int(row["mistaken_for"])] == others.max()
        else:
            assert row["mistaken_for"] is None
    assert result.summary["worst_class_accuracy"] == min(row["accuracy"] for row in rows)


def test_other_parts(trainer: Trainer, config: Config) -> None:
    assert evaluate(trainer, "valid").summary["images"] == len(trainer.splits.valid)
    with pytest.warns(match="no longer tested"):
        from hpcli.config import load_config

        on_test = load_config(None, {"data.validation": "test", "model.name": "shallow3"})
    alone = Trainer(on_test)
    assert evaluate(alone).summary["split"] == "valid"
    with pytest.raises(DataError, match="no test images"):
        evaluate(alone, "test")


def test_the_picture_shows_every_class(trainer: Trainer, tmp_path: Path) -> None:
    result = evaluate(trainer)
    figure = plots.confusion(result)
    axes = figure.axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == list("0123456789")
    assert np.allclose(np.asarray(axes.images[0].get_array()).sum(1), 1)
    assert f"{result.summary['accuracy']:.1%} of 359 test images right" in axes.get_title("left")
    figure.savefig(tmp_path / "confusion.png")
