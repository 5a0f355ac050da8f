from __future__ import annotations

import math

import numpy as np
import pytest

from hpcli.config import Config, with_overrides
from hpcli.errors import CheckpointError
from hpcli.experiments.plane import plane
from hpcli.experiments.store import MemoryStore
from hpcli.training.trainer import Trainer


@pytest.fixture
def flat(config: Config) -> Config:
    return with_overrides(config, {"interpolate.plane_points": 4})


def weights(config: Config, seed: int) -> Trainer:
    return Trainer(with_overrides(config, {"seed": seed}))


def test_corners_are_the_checkpoints_own_losses(flat: Config) -> None:
    trainers = [weights(flat, seed) for seed in range(3)]
    costs: list[tuple[int, float]] = []
    store = MemoryStore()
    found = plane(
        flat, *(each.model.state_dict() for each in trainers), store=store,
        on_cost=lambda points, seconds: costs.append((points, seconds)),
    )  # fmt: skip
    assert found.status == "finished"
    for name, trainer in zip("abc", trainers, strict=True):
        corner = found.summary["corners"][name]
        assert (corner["x"], corner["y"]) == found.corners[name]
        assert corner["valid_loss"] == pytest.approx(trainer.evaluate("valid").loss, abs=1e-5)
    assert costs[0][0] == 16
    assert costs[0][1] > 0
    assert found.valid_loss.shape == (4, 4)
    assert np.isfinite(found.valid_loss).all()
    rows = store.tables["plane"]
    assert [(row["x"], row["y"]) for row in rows[:4]] == [(x, found.y[0]) for x in found.x]
    assert found.summary["lowest"]["valid_loss"] == min(row["valid_loss"] for row in rows)


def test_interrupted_it_goes_on(flat: Config) -> None:
    class Stopping(MemoryStore):
        most = 5

        def should_stop(self) -> bool:
            return len(self.rows("plane")) >= self.most

    states = [weights(flat, seed).model.state_dict() for seed in range(3)]
    store, whole = Stopping(), MemoryStore()
    first = plane(flat, *states, store=store)
    assert first.status == "interrupted"
    assert np.isfinite(first.valid_loss).sum() == 5
    store.most = 100
    assert plane(flat, *states, store=store).status == "finished"
    plane(flat, *states, store=whole)
    assert store.tables == whole.tables


def test_three_on_a_line_are_refused(flat: Config) -> None:
    one, other = (weights(flat, seed).model.state_dict() for seed in (0, 1))
    middle = {name: (one[name] + other[name]) / 2 for name in one}
    with pytest.raises(CheckpointError, match="the three checkpoints lie on one line; --ckpt-c"):
        plane(flat, one, other, middle)


def test_losses_that_are_not_finite_are_counted(flat: Config) -> None:
    """Weights of 1e30 make logits overflow everywhere but at A and B."""
    states = [weights(flat, seed).model.state_dict() for seed in range(3)]
    for tensor in states[2].values():
        tensor.mul_(1e30)
    found = plane(flat, *states)
    assert found.summary["not_finite"] == 16
    assert found.summary["lowest"] is None
    assert found.summary["corners"]["c"]["valid_loss"] is None
    states[2]["linear.bias"][0] = math.inf
    with pytest.raises(CheckpointError, match="weights are not finite"):
        plane(flat, *states)
