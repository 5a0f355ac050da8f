from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import Tensor

from hpcli.config import Config, with_overrides
from hpcli.data.loader import EvalLoader
from hpcli.errors import CheckpointError, UsageError
from hpcli.experiments.interpolate import interpolate
from hpcli.experiments.train import train
from hpcli.recording.disk import DiskRecorder
from hpcli.recording.memory import MemoryRecorder
from hpcli.recording.progress import Progress
from hpcli.results.interpolate import Average, InterpolateResult, Place
from hpcli.results.train import Epoch
from hpcli.states import BatchNorm, RunStatus
from hpcli.training.trainer import Trainer

Weights = dict[str, Tensor]
TwoEpochs = tuple[list[Weights], list[Epoch]]


@pytest.fixture
def small(config: Config) -> Config:
    settings = {"model.name": "resnet20", "model.options.num_blocks": [1, 1, 1], "train.checkpoint_epochs": [1]}
    return with_overrides(config, {**settings, "interpolate.alphas": "-1:2:7"})


@pytest.fixture
def run(small: Config) -> TwoEpochs:
    """Weights after epochs 1 and 2 of a run, and its metrics."""
    recorder = MemoryRecorder()
    train(small, recorder=recorder)
    weights = [recorder.states[name]["trainer"]["model"] for name in ("epoch-0001", "epoch-0002")]
    return weights, recorder.rows(Epoch)


def summary_of(result: InterpolateResult) -> dict[str, Any]:
    return dict(result.summary())


def fresh(config: Config) -> Weights:
    """The weights that the seed draws."""
    return cast(Weights, Trainer.from_config(config).model.state_dict())


def test_the_ends_are_the_runs_own_metrics(small: Config, run: TwoEpochs) -> None:
    weights, metrics = run
    found = interpolate(*weights, config=small)
    assert found.status == RunStatus.FINISHED
    averaged, anew = found.curves[BatchNorm.INTERPOLATE], found.curves[BatchNorm.RECOMPUTE]
    for name, alpha, epoch in (("a", 0.0, 1), ("b", 1.0, 2)):
        at = averaged["alpha"].tolist().index(alpha)
        assert averaged["train_loss"][at] == pytest.approx(metrics[epoch].train_eval_loss, abs=1e-5)
        assert averaged["valid_loss"][at] == pytest.approx(metrics[epoch].valid_loss, abs=1e-5)
        assert averaged["valid_accuracy"][at] == metrics[epoch].valid_accuracy
        assert found.ends[name].valid_loss == averaged["valid_loss"][at]
        assert found.ends[name].train_loss == averaged["train_loss"][at]
    shift = summary_of(found)["endpoint_shift"]["b"]["valid"]
    assert shift == pytest.approx(anew["valid_loss"][anew["alpha"] == 1][0] - metrics[2].valid_loss, abs=1e-5)
    assert shift != 0


def test_two_epochs_are_connected_and_two_seeds_are_not(small: Config) -> None:
    long = with_overrides(small, {"train.epochs": 12, "data.train_fraction": 0.5, "train.checkpoint_epochs": [9]})
    runs = []
    for seed in (0, 1):
        recorder = MemoryRecorder()
        train(with_overrides(long, {"seed": seed}), recorder=recorder)
        runs.append({name: state["trainer"]["model"] for name, state in recorder.states.items()})
    near = interpolate(runs[0]["epoch-0009"], runs[0]["epoch-0011"], config=long)
    assert near.barriers[BatchNorm.RECOMPUTE]["train"].height <= max(0.02, 2 * near.standard_error)
    assert near.connected is True
    far = interpolate(runs[0]["epoch-0011"], runs[1]["epoch-0011"], config=long)
    assert far.connected is False
    heights = {mode: found["train"].height for mode, found in far.barriers.items()}
    assert heights[BatchNorm.INTERPOLATE] > heights[BatchNorm.RECOMPUTE] > 0.3
    about_near, about_far = summary_of(near), summary_of(far)
    assert about_far["barrier"]["recompute"]["train"] == heights[BatchNorm.RECOMPUTE]
    assert (about_near["connected"], about_far["connected"]) == (True, False)
    assert about_far["distance"] > about_near["distance"] > 0
    assert about_far["cosine"] < about_near["cosine"] < 1
    assert "separated along this line" in about_far["sentence"]


def test_two_names_of_one_checkpoint_are_no_line(small: Config, run: TwoEpochs) -> None:
    (one, _), _ = run
    result = interpolate(one, one, config=with_overrides(small, {"interpolate.alphas": "0:1:3"}))
    found = summary_of(result)
    assert (found["distance"], found["connection"], found["connected"]) == (0, None, None)
    assert result.connected is None
    assert found["sentence"].startswith("A and B have the same weights: there is no line between them.")


def test_a_variance_that_turns_negative_at_a_known_alpha_is_named(small: Config) -> None:
    """bn1's variance goes 1, 0.5 … zero at α = 2 + 2·eps; layer1's goes 0.5, 1.5: zero at α = −0.5."""
    weights = [fresh(small) for _ in range(2)]
    for name, (one, other) in {"bn1": (1.0, 0.5), "layer1.0.bn2": (0.5, 1.5)}.items():
        for state, variance in zip(weights, (one, other), strict=True):
            state[f"{name}.running_var"].fill_(variance)
    found = interpolate(*weights, config=with_overrides(small, {"interpolate.alphas": "-1,-0.51,-0.49,1.99,2.01,3"}))
    averaged = found.curves[BatchNorm.INTERPOLATE]
    assert averaged["alpha"][~np.isfinite(averaged["valid_loss"])].tolist() == [-1, -0.51, 2.01, 3]
    assert np.isfinite(found.curves[BatchNorm.RECOMPUTE]["valid_loss"]).all()
    summary = summary_of(found)
    assert summary["nan"] == [
        "interpolate: negative running variance in layer1.0.bn2 from α = -0.5 down",
        "interpolate: negative running variance in bn1 from α = 2 up",
    ]
    below, above = found.negative_variance
    assert below is not None
    assert above is not None
    assert [below.layer, above.layer] == ["layer1.0.bn2", "bn1"]
    assert [below.alpha, above.alpha] == pytest.approx([-0.50001, 2.00002])
    assert summary["negative_variance"] == [{"layer": each.layer, "alpha": each.alpha} for each in (below, above)]
    assert found.zeros["bn1"] == (None, above.alpha)
    assert found.zeros["layer1.0.bn2"] == (below.alpha, None)


class Stopping(MemoryRecorder):
    """Stops after so many rows."""

    most = 3

    def should_stop(self) -> bool:
        return len(self.rows(Place)) >= self.most


def test_interrupted_it_goes_on_to_the_same_rows(small: Config, run: TwoEpochs) -> None:
    weights, _ = run
    whole = MemoryRecorder()
    expected = interpolate(*weights, config=small, recorder=whole)
    recorder = Stopping()
    first = interpolate(*weights, config=small, recorder=recorder)
    assert (first.status, first.summary(), len(recorder.rows(Place))) == (RunStatus.INTERRUPTED, {}, 3)
    recorder.most = 1000
    seen: list[Progress] = []
    found = interpolate(*weights, config=small, recorder=recorder, on_progress=seen.append)
    assert recorder.tables == whole.tables
    assert found.summary() == expected.summary() != {}
    assert [report.done for report in seen] == list(range(4, 15))


def test_it_does_not_go_on_with_other_checkpoints(small: Config, run: TwoEpochs) -> None:
    weights, _ = run
    recorder = Stopping()
    interpolate(*weights, config=small, recorder=recorder)
    recorder.most = 1000
    with pytest.raises(CheckpointError, match="have changed since"):
        interpolate(weights[1], weights[1], config=small, recorder=recorder)


def test_a_run_folder_goes_on_after_a_torn_row(small: Config, run: TwoEpochs, tmp_path: Path) -> None:
    weights, _ = run
    with DiskRecorder.create("interpolate", small, tmp_path / "whole") as folder:
        expected = interpolate(*weights, config=small, recorder=folder)
    whole = (tmp_path / "whole/interpolation.csv").read_bytes()
    with DiskRecorder.create("interpolate", small, tmp_path / "torn"):
        pass
    for cut in (10, len(whole) // 2, len(whole) - 1, len(whole)):
        (tmp_path / "torn/interpolation.csv").write_bytes(whole[:cut])
        with DiskRecorder.reopen("interpolate", tmp_path / "torn", small) as folder:
            found = interpolate(*weights, config=small, recorder=folder)
        assert found.status == RunStatus.FINISHED
        assert found.summary() == expected.summary()
        assert (tmp_path / "torn/interpolation.csv").read_bytes() == whole


def test_checkpoints_by_path_are_measured_by_their_runs_config(small: Config, run: TwoEpochs, tmp_path: Path) -> None:
    weights, _ = run
    for name, each, seed in (("one", weights[0], 0), ("other", weights[1], 1)):
        with DiskRecorder.create("train", with_overrides(small, {"seed": seed}), tmp_path / name) as folder:
            folder.keep_weights(each)
    files = [tmp_path / name / "model.safetensors" for name in ("one", "other")]
    expected = interpolate(*weights, config=small)
    found = interpolate(*files)
    named = interpolate(config=with_overrides(small, {"interpolate.ckpt_a": files[0], "interpolate.ckpt_b": files[1]}))
    assert found.summary() == named.summary() == expected.summary()
    assert found.config == small


def test_what_is_missing_is_named(small: Config) -> None:
    weights = fresh(small)
    with pytest.raises(UsageError, match="name the two checkpoints"):
        interpolate(weights, config=small)
    with pytest.raises(UsageError, match="config: needed where checkpoints are tensors"):
        interpolate(weights, weights)
    with pytest.raises(UsageError, match=r"the config by its name: interpolate\(config="):
        interpolate(small)  # type: ignore[arg-type]
    with pytest.raises(CheckpointError, match="checkpoint B: conv1"):
        interpolate(weights, {**weights, "conv1.weight": torch.zeros(1)}, config=small)


def test_the_trainer_is_left_as_it_was(small: Config, run: TwoEpochs) -> None:
    trainer = Trainer.from_config(small)
    before = trainer.state_dict()["model"]
    interpolate(*run[0], config=small, trainer=trainer)
    assert all(torch.equal(before[name], tensor) for name, tensor in trainer.model.state_dict().items())
    assert trainer.is_fresh


def test_the_cost_is_linear_in_alphas(small: Config, run: TwoEpochs, monkeypatch: pytest.MonkeyPatch) -> None:
    """Counted in images that are brought to the network, so that no other load can disturb it."""
    count = 0
    batches = EvalLoader.__iter__

    def counted(self: EvalLoader) -> Iterator[tuple[Tensor, Tensor]]:
        nonlocal count
        for images, labels in batches(self):
            count += len(images)
            yield images, labels

    monkeypatch.setattr(EvalLoader, "__iter__", counted)
    costs = []
    for alphas in ("0:1:5", "0:1:9", "0:1:17"):
        count = 0
        interpolate(*run[0], config=with_overrides(small, {"interpolate.alphas": alphas}))
        costs.append(count)
    assert costs[1] > costs[0] > 0
    assert costs[2] - costs[1] == 2 * (costs[1] - costs[0])


def test_the_average_is_kept_with_its_own_statistics(small: Config, run: TwoEpochs) -> None:
    recorder = MemoryRecorder()
    config = with_overrides(small, {"interpolate.save_average": 0.5, "interpolate.alphas": "0,1"})
    found = interpolate(*run[0], config=config, recorder=recorder)
    summary = summary_of(found)
    average, middle = summary["average"], summary["endpoints"]["recompute"]["middle"]
    assert average["valid_loss"] == middle["valid_loss"]
    assert average["test_accuracy"] > 0
    assert recorder.rows(Average) == [found.average]
    assert found.average is not None
    assert (found.average.alpha, found.average.valid_loss) == (0.5, average["valid_loss"])
    kept = recorder.states["average"]["trainer"]["model"]
    trainer = Trainer.from_config(small)
    trainer.load_weights(kept)
    assert trainer.evaluate("valid").loss == pytest.approx(middle["valid_loss"], abs=1e-5)
    assert recorder.weights is not None
    assert all(torch.equal(kept[name], tensor) for name, tensor in recorder.weights.items())


@pytest.mark.parametrize("bn", [BatchNorm.RECOMPUTE, BatchNorm.INTERPOLATE])
def test_one_mode_alone(small: Config, run: TwoEpochs, bn: BatchNorm) -> None:
    recorder = MemoryRecorder()
    found = interpolate(*run[0], config=with_overrides(small, {"interpolate.bn": bn.value}), recorder=recorder)
    summary = summary_of(found)
    assert list(found.curves) == list(summary["barrier"]) == [bn]
    assert found.judged == bn
    assert {row.bn for row in recorder.rows(Place)} == {bn}
    assert (summary["endpoint_shift"] is None) == (bn == BatchNorm.INTERPOLATE)


def test_without_batchnorm_both_are_one(config: Config) -> None:
    states = [fresh(with_overrides(config, {"seed": seed})) for seed in (0, 1)]
    found = interpolate(*states, config=with_overrides(config, {"interpolate.alphas": "0,1"}))
    assert list(found.curves) == [BatchNorm.INTERPOLATE]
    assert found.negative_variance == (None, None)
    assert found.summary()["negative_variance"] == [None, None]


def test_a_checkpoint_that_is_not_finite_is_no_barrier(small: Config) -> None:
    states = [fresh(small) for _ in range(2)]
    states[1]["conv1.weight"].fill_(math.nan)
    found = interpolate(*states, config=with_overrides(small, {"interpolate.alphas": "0,1"}))
    summary = summary_of(found)
    assert found.connected is None
    assert summary["connected"] is None
    assert summary["barrier"]["recompute"] == {"train": None, "valid": None}
    assert "nothing can be said" in summary["sentence"]
    assert summary["nan"]
