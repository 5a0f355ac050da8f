"""The plane is the part of `interpolate` that a third checkpoint asks for."""

from __future__ import annotations

import math
from typing import cast

import numpy as np
import pytest
from torch import Tensor

from hpcli.config import Config, with_overrides
from hpcli.errors import CheckpointError
from hpcli.experiments.interpolate import interpolate
from hpcli.recording.memory import MemoryRecorder
from hpcli.results.interpolate import InterpolateResult
from hpcli.results.plane import Corner, PlanePoint
from hpcli.states import BatchNorm, RunStatus
from hpcli.training.trainer import Trainer

Weights = dict[str, Tensor]


@pytest.fixture
def flat(config: Config) -> Config:
    return with_overrides(config, {"interpolate.plane_points": 4, "interpolate.alphas": "0,1"})


def seeded(config: Config, seed: int) -> Trainer:
    return Trainer.from_config(with_overrides(config, {"seed": seed}))


def three(config: Config) -> list[Weights]:
    return [cast(Weights, seeded(config, seed).model.state_dict()) for seed in range(3)]


def test_corners_are_the_checkpoints_own_losses(flat: Config) -> None:
    trainers = [seeded(flat, seed) for seed in range(3)]
    costs: list[tuple[int, float]] = []
    recorder = MemoryRecorder()
    found = interpolate(
        *(each.model.state_dict() for each in trainers),
        config=flat,
        recorder=recorder,
        on_cost=lambda points, seconds: costs.append((points, seconds)),
    )
    assert found.status == RunStatus.FINISHED
    plane = found.plane
    assert plane is not None
    assert plane.status == RunStatus.FINISHED
    assert plane.bn == BatchNorm.RECOMPUTE
    assert recorder.rows(Corner) == list(plane.corners)
    summary = plane.summary()
    for name, corner, trainer in zip("abc", plane.corners, trainers, strict=True):
        assert corner.checkpoint == name
        assert corner.valid_loss == pytest.approx(trainer.evaluate("valid").loss, abs=1e-5)
        about = {"x": corner.x, "y": corner.y, "valid_loss": corner.valid_loss}
        assert cast("dict[str, object]", summary["corners"])[name] == about
    a, b, c = plane.corners
    assert (a.x, a.y, b.y) == (0, 0, 0)
    assert b.x == pytest.approx(found.summary()["distance"])
    assert c.y > 0
    assert [points for points, _ in costs] == [16]
    assert costs[0][1] > 0
    assert plane.valid_loss.shape == (4, 4)
    assert np.isfinite(plane.valid_loss).all()
    rows = recorder.rows(PlanePoint)
    assert [(row.x, row.y) for row in rows[:4]] == [(x, plane.y[0]) for x in plane.x]
    assert plane.valid_loss.ravel().tolist() == [row.valid_loss for row in rows]
    lowest = cast("dict[str, float]", summary["lowest"])
    assert lowest["valid_loss"] == plane.valid_loss.min()
    assert found.summary()["plane"] == summary


def test_two_checkpoints_have_no_plane(flat: Config) -> None:
    found = interpolate(*three(flat)[:2], config=flat)
    assert found.plane is None
    assert "plane" not in found.summary()


def test_interrupted_it_goes_on(flat: Config) -> None:
    class Stopping(MemoryRecorder):
        most = 5

        def should_stop(self) -> bool:
            return len(self.rows(PlanePoint)) >= self.most

    states = three(flat)
    recorder, whole = Stopping(), MemoryRecorder()
    first = interpolate(*states, config=flat, recorder=recorder)
    assert first.status == RunStatus.INTERRUPTED
    assert first.plane is not None
    assert np.isfinite(first.plane.valid_loss).sum() == 5
    assert first.is_complete  # the line is
    recorder.most = 100
    again = interpolate(*states, config=flat, recorder=recorder)
    assert again.status == RunStatus.FINISHED
    expected = interpolate(*states, config=flat, recorder=whole)
    assert recorder.tables == whole.tables
    assert again.summary() == expected.summary()


def test_interrupted_on_its_line_it_has_no_plane_yet(flat: Config) -> None:
    class StopsAtOnce(MemoryRecorder):
        def should_stop(self) -> bool:
            return True

    found = interpolate(*three(flat), config=flat, recorder=StopsAtOnce())
    assert found.status == RunStatus.INTERRUPTED
    assert found.plane is not None
    assert not found.plane.has_begun
    assert found.plane.valid_loss.shape == (0, 0)
    assert found.summary() == {}


def test_the_result_comes_back_from_what_was_recorded(flat: Config) -> None:
    states = three(flat)
    asked = with_overrides(flat, {"interpolate.ckpt_c": "given"})
    recorder = MemoryRecorder(asked)
    found = interpolate(*states, config=asked, recorder=recorder)
    recorder.finish(found.status, found.summary())
    again = InterpolateResult.from_run(recorder)
    assert again.summary() == found.summary()
    assert again.plane is not None
    assert found.plane is not None
    assert again.plane.valid_loss.tolist() == found.plane.valid_loss.tolist()
    assert again.plane.x.tolist() == found.plane.x.tolist()


def test_three_on_a_line_are_refused(flat: Config) -> None:
    one, other, _ = three(flat)
    middle = {name: (one[name] + other[name]) / 2 for name in one}
    with pytest.raises(CheckpointError, match="the three checkpoints lie on one line; --ckpt-c"):
        interpolate(one, other, middle, config=flat)


def test_losses_that_are_not_finite_are_counted(flat: Config) -> None:
    """Weights of 1e30 make logits overflow everywhere but at A and B."""
    states = three(flat)
    for tensor in states[2].values():
        tensor.mul_(1e30)
    found = interpolate(*states, config=flat)
    assert found.plane is not None
    summary = found.plane.summary()
    assert (summary["points"], summary["not_finite"]) == (16, 16)
    assert summary["lowest"] is None
    a, b, c = found.plane.corners
    assert c.valid_loss is None
    assert a.valid_loss is not None
    assert b.valid_loss is not None
    states[2]["linear.bias"][0] = math.inf
    with pytest.raises(CheckpointError, match="weights are not finite"):
        interpolate(*states, config=flat)
