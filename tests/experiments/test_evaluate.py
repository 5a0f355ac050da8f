from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from hpcli import plots
from hpcli.config import Config, load_config, with_overrides
from hpcli.errors import CheckpointError, DataError, UsageError
from hpcli.experiments.evaluate import evaluate
from hpcli.experiments.train import train
from hpcli.recording.disk import DiskRecorder
from hpcli.recording.memory import MemoryRecorder
from hpcli.results.evaluate import ClassScore, EvaluateResult, Score
from hpcli.states import RunStatus
from hpcli.training.trainer import Trainer


@pytest.fixture
def longer(config: Config) -> Config:
    return with_overrides(config, {"train.epochs": 6})


@pytest.fixture
def trainer(longer: Config) -> Trainer:
    trainer = Trainer.from_config(longer)
    train(longer, trainer=trainer)
    return trainer


def test_the_numbers_agree(trainer: Trainer) -> None:
    """The confusion matrix against the accuracy that training measures, and the rows against the matrix."""
    recorder = MemoryRecorder()
    result = evaluate(trainer, recorder=recorder)
    summary, measured = result.summary(), trainer.evaluate("test")
    assert result.status == RunStatus.FINISHED
    assert summary["split"] == "test"
    assert result.confusion.sum() == summary["images"] == 359
    test = trainer.data.splits.test
    assert test is not None
    assert result.confusion.sum(1).tolist() == np.bincount(test.labels).tolist()
    assert result.confusion.trace() / 359 == pytest.approx(measured.accuracy)
    assert recorder.rows(Score) == [Score("test", 359, measured.loss, measured.accuracy, measured.top5)]
    rows = recorder.rows(ClassScore)
    assert [row.class_ for row in rows] == list("0123456789")
    for label, row in enumerate(rows):
        assert row.accuracy == pytest.approx(result.confusion[label, label] / row.images)
        others = np.delete(result.confusion[label], label)
        if others.max():
            assert row.mistaken_for is not None
            assert result.confusion[label, int(row.mistaken_for)] == others.max()
        else:
            assert row.mistaken_for is None
    assert summary["worst_class_accuracy"] == min(row.accuracy for row in rows if row.accuracy is not None)


def test_other_parts(trainer: Trainer) -> None:
    assert evaluate(trainer, split="valid").summary()["images"] == len(trainer.data.splits.valid)
    with pytest.warns(match="no longer tested"):
        on_test = load_config(None, {"data.validation": "test", "model.name": "shallow3"})
    alone = Trainer.from_config(on_test)
    assert evaluate(alone).summary()["split"] == "valid"
    with pytest.raises(DataError, match="no test images"):
        evaluate(alone, split="test")


def test_weights_by_config_are_measured_as_by_their_trainer(trainer: Trainer, longer: Config, tmp_path: Path) -> None:
    by_trainer = evaluate(trainer, split="valid")
    with DiskRecorder.create("train", longer, tmp_path / "run") as run:
        run.keep_weights(trainer.model.state_dict())
    file = tmp_path / "run/model.safetensors"
    named = with_overrides(longer, {"evaluate.checkpoint": str(file), "evaluate.split": "valid"})
    for found in (
        evaluate(longer, trainer.model.state_dict(), split="valid"),
        evaluate(longer, file, split="valid"),
        evaluate(longer, str(file), split="valid"),
        evaluate(named),
    ):
        assert found.score == by_trainer.score
        assert found.scores == by_trainer.scores
        assert found.confusion.tolist() == by_trainer.confusion.tolist()
    assert evaluate(named).config == named
    assert by_trainer.config is None
    assert evaluate(named, split="test").summary()["split"] == "test"  # the argument wins


def test_a_config_without_weights_is_refused(config: Config) -> None:
    with pytest.raises(UsageError, match=r"evaluate\.checkpoint: none given; name a run folder or a file"):
        evaluate(config)
    with pytest.raises(CheckpointError, match="conv1"):
        evaluate(config, {"conv1.weight": torch.zeros(1)})


def test_the_trainer_is_left_as_it_was(trainer: Trainer, config: Config) -> None:
    other = Trainer.from_config(config).model.state_dict()
    before, valid = trainer.state_dict(), trainer.evaluate("valid")
    found = evaluate(trainer, other, split="valid")
    assert found.score is not None
    assert found.score.loss != valid.loss
    assert all(torch.equal(before["model"][name], tensor) for name, tensor in trainer.model.state_dict().items())
    assert (trainer.step, trainer.is_fresh) == (before["step"], False)
    assert trainer.evaluate("valid") == valid


def test_the_result_comes_back_from_what_was_recorded(trainer: Trainer, longer: Config) -> None:
    recorder = MemoryRecorder(longer)
    result = evaluate(longer, trainer.model.state_dict(), recorder=recorder)
    recorder.finish(result.status, result.summary())
    again = EvaluateResult.from_run(recorder)
    assert again.summary() == result.summary()
    assert again.confusion.tolist() == result.confusion.tolist()
    assert (again.status, again.config, again.classes) == (RunStatus.FINISHED, longer, tuple("0123456789"))


def test_the_picture_shows_every_class(trainer: Trainer, tmp_path: Path) -> None:
    result = evaluate(trainer)
    drawn = plots.figures(result)
    assert list(drawn) == ["confusion", "mistakes"]
    axes = drawn["confusion"].axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == list("0123456789")
    assert np.allclose(np.asarray(axes.images[0].get_array()).sum(1), 1)
    assert f"{result.summary()['accuracy']:.1%} of 359 test images right" in axes.get_title("left")
    drawn["confusion"].savefig(tmp_path / "confusion.png")
    assert (tmp_path / "confusion.png").stat().st_size > 0


def test_the_mistakes_are_the_wrong_images_of_highest_loss(trainer: Trainer) -> None:
    """Against the network asked directly, one image at a time; pictures are of those images."""
    recorder = MemoryRecorder()
    result = evaluate(trainer, recorder=recorder)
    test = trainer.data.splits.test
    assert test is not None
    with torch.inference_mode():
        trainer.model.eval()
        logits = torch.cat([trainer.model(images) for images, _ in trainer.data.eval_loader("test", batch_size=1)])
    chances, labels = logits.double().softmax(1).numpy(), test.labels
    losses = -np.log(chances[np.arange(len(labels)), labels])
    wrong = [each for each in np.argsort(-losses) if chances[each].argmax() != labels[each]][:16]
    assert 0 < len(wrong) == len(result.mistakes) <= 16
    assert [each.image for each in result.mistakes] == wrong
    for found, place in zip(result.mistakes, wrong, strict=True):
        assert (found.class_, found.taken_for) == (str(labels[place]), str(chances[place].argmax()))
        assert found.probability == pytest.approx(chances[place].max(), rel=1e-4)
        assert found.loss == pytest.approx(losses[place], rel=1e-4)
    assert result.mistaken_images is not None
    assert np.array_equal(result.mistaken_images, test.images[wrong])


def test_pictures_of_mistakes_that_were_changed_are_refused(trainer: Trainer) -> None:
    recorder = MemoryRecorder()
    evaluate(trainer, recorder=recorder)
    recorder.keep_arrays("mistakes", {"images": np.zeros((1, 8, 8, 1))})
    with pytest.raises(CheckpointError, match=r"mistakes\.npz: damaged"):
        EvaluateResult.from_rows(None, RunStatus.FINISHED, recorder)
