from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from hpcli.config import Config, with_overrides
from hpcli.errors import CheckpointError
from hpcli.experiments.interpolate import interpolate
from hpcli.experiments.store import MemoryStore, Progress
from hpcli.experiments.train import train
from hpcli.run_dir import RunDir
from hpcli.training.trainer import Trainer

Weights = dict[str, Tensor]


@pytest.fixture
def small(config: Config) -> Config:
    settings = {"model.name": "resnet20", "model.options.num_blocks": "[1, 1, 1]", "train.checkpoint_epochs": "[1]"}
    return with_overrides(config, {**settings, "interpolate.alphas": "-1:2:7"})


@pytest.fixture
def run(small: Config) -> tuple[list[Weights], list[dict[str, float]]]:
    """Weights after epochs 1 and 2 of a run, and its metrics."""
    store = MemoryStore()
    train(small, store=store)
    weights = [store.states[name]["trainer"]["model"] for name in ("epoch-0001", "epoch-0002")]
    return weights, store.tables["metrics"]


def test_the_ends_are_the_runs_own_metrics(small: Config, run: tuple[list[Weights], list[dict[str, float]]]) -> None:
    weights, metrics = run
    found = interpolate(small, *weights)
    assert found.status == "finished"
    for alpha, epoch in ((0.0, 1), (1.0, 2)):
        at = found.curves["interpolate"]["alpha"].tolist().index(alpha)
        for name, recorded in {"train_loss": "train_eval_loss", "valid_loss": "valid_loss"}.items():
            assert found.curves["interpolate"][name][at] == pytest.approx(metrics[epoch][recorded], abs=1e-5)
        assert found.curves["interpolate"]["valid_accuracy"][at] == metrics[epoch]["valid_accuracy"]
    shift = found.summary["endpoint_shift"]["b"]["valid"]
    anew = found.curves["recompute"]["valid_loss"][found.curves["recompute"]["alpha"] == 1][0]
    assert shift == pytest.approx(anew - metrics[2]["valid_loss"], abs=1e-5)
    assert shift != 0


def test_two_epochs_are_connected_and_two_seeds_are_not(small: Config) -> None:
    long = with_overrides(small, {"train.epochs": 12, "data.train_fraction": 0.5, "train.checkpoint_epochs": "[9]"})
    runs = []
    for seed in (0, 1):
        store = MemoryStore()
        train(with_overrides(long, {"seed": seed}), store=store)
        runs.append({name: state["trainer"]["model"] for name, state in store.states.items()})
    near = interpolate(long, runs[0]["epoch-0009"], runs[0]["epoch-0011"]).summary
    error = near["standard_error"]
    assert near["barrier"]["recompute"]["train"] <= max(0.02, 2 * error)
    assert near["connected"] is True
    far = interpolate(long, runs[0]["epoch-0011"], runs[1]["epoch-0011"]).summary
    assert far["connected"] is False
    assert far["barrier"]["interpolate"]["train"] > far["barrier"]["recompute"]["train"] > 0.3
    assert far["distance"] > near["distance"] > 0
    assert far["cosine"] < near["cosine"] < 1
    assert "separated along this line" in far["sentence"]


def test_a_variance_that_turns_negative_at_a_known_alpha_is_named(small: Config) -> None:
    """bn1's variance goes 1, 0.5 … zero at α = 2 + 2·eps; layer1's goes 0.5, 1.5: zero at α = −0.5."""
    weights = [Trainer(small).model.state_dict() for _ in range(2)]
    for name, (one, other) in {"bn1": (1.0, 0.5), "layer1.0.bn2": (0.5, 1.5)}.items():
        for state, variance in zip(weights, (one, other), strict=True):
            state[f"{name}.running_var"].fill_(variance)
    config = with_overrides(small, {"interpolate.alphas": "-1,-0.51,-0.49,1.99,2.01,3"})
    found = interpolate(config, *weights)
    alpha, losses = found.curves["interpolate"]["alpha"], found.curves["interpolate"]["valid_loss"]
    assert alpha[~np.isfinite(losses)].tolist() == [-1, -0.51, 2.01, 3]
    assert np.isfinite(found.curves["recompute"]["valid_loss"]).all()
    assert found.summary["nan"] == [
        "interpolate: negative running variance in layer1.0.bn2 from α = -0.5 down",
        "interpolate: negative running variance in bn1 from α = 2 up",
    ]
    below, above = found.summary["negative_variance"]
    assert (below["layer"], below["alpha"]) == ("layer1.0.bn2", pytest.approx(-0.50001))
    assert (above["layer"], above["alpha"]) == ("bn1", pytest.approx(2.00002))


class Stopping(MemoryStore):
    """Stops after so many rows."""

    most = 3

    def should_stop(self) -> bool:
        return len(self.rows("interpolation")) >= self.most


def test_interrupted_it_goes_on_to_the_same_rows(
    small: Config, run: tuple[list[Weights], list[dict[str, float]]]
) -> None:
    weights, _ = run
    whole = MemoryStore()
    expected = interpolate(small, *weights, store=whole)
    store = Stopping()
    first = interpolate(small, *weights, store=store)
    assert (first.status, first.summary, len(store.rows("interpolation"))) == ("interrupted", {}, 3)
    store.most = 1000
    seen: list[Progress] = []
    found = interpolate(small, *weights, store=store, on_progress=seen.append)
    assert store.tables == whole.tables
    assert found.summary == expected.summary
    assert [report.done for report in seen] == list(range(4, 15))


def test_it_does_not_go_on_with_other_checkpoints(
    small: Config, run: tuple[list[Weights], list[dict[str, float]]]
) -> None:
    weights, _ = run
    store = Stopping()
    interpolate(small, *weights, store=store)
    store.most = 1000
    with pytest.raises(CheckpointError, match="have changed since"):
        interpolate(small, weights[1], weights[1], store=store)


def test_a_run_folder_goes_on_after_a_torn_row(
    small: Config, run: tuple[list[Weights], list[dict[str, float]]], tmp_path: Path
) -> None:
    weights, _ = run
    with RunDir.create("interpolate", small, tmp_path / "whole") as folder:
        interpolate(small, *weights, store=folder)
    whole = (tmp_path / "whole/interpolation.csv").read_bytes()
    with RunDir.create("interpolate", small, tmp_path / "torn"):
        pass
    for cut in (10, len(whole) // 2, len(whole) - 1, len(whole)):
        (tmp_path / "torn/interpolation.csv").write_bytes(whole[:cut])
        with RunDir.reopen("interpolate", tmp_path / "torn", small) as folder:
            assert interpolate(small, *weights, store=folder).status == "finished"
        assert (tmp_path / "torn/interpolation.csv").read_bytes() == whole


def test_the_trainer_is_left_as_it_was(small: Config, run: tuple[list[Weights], list[dict[str, float]]]) -> None:
    trainer = Trainer(small)
    before = trainer.state_dict()["model"]
    interpolate(small, *run[0], trainer=trainer)
    assert all(torch.equal(before[name], tensor) for name, tensor in trainer.model.state_dict().items())
    assert trainer.is_fresh


def test_the_cost_is_linear_in_alphas(
    small: Config, run: tuple[list[Weights], list[dict[str, float]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Counted in images that go through the network, so that no other load can disturb it."""
    count = 0
    measure = Trainer._logits

    def counted(self: Trainer, network: object, images: Tensor) -> Tensor:
        nonlocal count
        count += len(images)
        return measure(self, network, images)  # type: ignore[arg-type]

    monkeypatch.setattr(Trainer, "_logits", counted)
    costs = []
    for alphas in ("0:1:5", "0:1:9", "0:1:17"):
        count = 0
        interpolate(with_overrides(small, {"interpolate.alphas": alphas}), *run[0])
        costs.append(count)
    assert costs[2] - costs[1] == 2 * (costs[1] - costs[0])


def test_the_average_is_kept_with_its_own_statistics(
    small: Config, run: tuple[list[Weights], list[dict[str, float]]]
) -> None:
    store = MemoryStore()
    config = with_overrides(small, {"interpolate.save_average": 0.5, "interpolate.alphas": "0,1"})
    found = interpolate(config, *run[0], store=store)
    average = found.summary["average"]
    middle = found.summary["endpoints"]["recompute"]["middle"]
    assert average["valid_loss"] == middle["valid_loss"]
    assert average["test_accuracy"] > 0
    trainer = Trainer(small)
    trainer.load_weights(store.states["average"]["trainer"]["model"])
    assert trainer.evaluate("valid").loss == pytest.approx(middle["valid_loss"], abs=1e-5)


@pytest.mark.parametrize("bn", ["recompute", "interpolate"])
def test_one_mode_alone(small: Config, run: tuple[list[Weights], list[dict[str, float]]], bn: str) -> None:
    store = MemoryStore()
    found = interpolate(with_overrides(small, {"interpolate.bn": bn}), *run[0], store=store)
    assert list(found.curves) == list(found.summary["barrier"]) == [bn]
    assert {row["bn"] for row in store.tables["interpolation"]} == {bn}
    assert (found.summary["endpoint_shift"] is None) == (bn == "interpolate")


def test_without_batchnorm_both_are_one(config: Config) -> None:
    states = [Trainer(with_overrides(config, {"seed": seed})).model.state_dict() for seed in (0, 1)]
    found = interpolate(with_overrides(config, {"interpolate.alphas": "0,1"}), *states)
    assert list(found.curves) == ["interpolate"]
    assert found.summary["negative_variance"] == [None, None]


def test_a_checkpoint_that_is_not_finite_is_no_barrier(small: Config) -> None:
    states = [Trainer(small).model.state_dict() for _ in range(2)]
    states[1]["conv1.weight"].fill_(math.nan)
    found = interpolate(with_overrides(small, {"interpolate.alphas": "0,1"}), *states)
    assert found.summary["connected"] is None
    assert found.summary["barrier"]["recompute"] == {"train": None, "valid": None}
    assert "nothing can be said" in found.summary["sentence"]
    assert found.summary["nan"]
