from __future__ import annotations

import math

import numpy as np
import pytest

from hpcli.analysis.plane import plane_through


def test_coordinates_are_distances_between_weights() -> None:
    weights = np.random.default_rng(0).normal(size=(3, 50))
    plane = plane_through(weights @ weights.T)
    corners = {name: np.array(at) for name, at in plane.corners.items()}
    for one, other in (("a", "b"), ("a", "c"), ("b", "c")):
        distance = np.linalg.norm(weights["abc".index(one)] - weights["abc".index(other)])
        assert np.linalg.norm(corners[one] - corners[other]) == pytest.approx(distance)


def test_coefficients_lead_to_the_weights_there() -> None:
    weights = np.random.default_rng(1).normal(size=(3, 50))
    plane = plane_through(weights @ weights.T)
    for index, place in enumerate(plane.corners.values()):
        assert plane.coefficients(*place) == pytest.approx(np.eye(3)[index], abs=1e-12)
    coefficients = plane.coefficients(1.3, -0.4)
    there = np.array(coefficients) @ weights
    assert sum(coefficients) == pytest.approx(1)
    assert np.linalg.norm(there - weights[0]) == pytest.approx(math.hypot(1.3, -0.4))


def test_the_grid_surrounds_the_corners() -> None:
    plane = plane_through([[0, 0, 0], [0, 4, -2], [0, -2, 10]])  # A = 0, B = (2, 0), C = (−1, 3)
    assert plane.corners == {"a": (0, 0), "b": (2, 0), "c": (-1, 3)}
    x, y = plane.grid(5)
    assert (x[0], x[-1], len(x)) == (-1.75, 2.75, 5)
    assert (y[0], y[-1]) == (-0.75, 3.75)


@pytest.mark.parametrize("third", [[2.0, 4.0], [0.0, 0.0], [1.0, 2.0]])
def test_three_on_one_line_span_no_plane(third: list[float]) -> None:
    weights = np.array([[0.0, 0.0], [1.0, 2.0], third])
    with pytest.raises(ValueError, match="on one line"):
        plane_through(weights @ weights.T)
