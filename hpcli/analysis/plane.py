"""The plane through three sets of weights, from their inner products alone (Garipov et al., 1802.10026, appendix A.1).

The axes are the direction from A to B, and from it, at a right angle, towards C; both in units of weight distance.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

BORDER = 0.25
"""Share of the corners' extent that the plane reaches beyond them, on each side."""
FLAT = 1e-6
"""C is on the line through A and B where its distance from it is so small a share of its distance from A."""

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Plane:
    """Where A = (0, 0), B = (base, 0) and C = (foot, height) lie."""

    base: float
    foot: float
    height: float

    @property
    def corners(self) -> dict[str, tuple[float, float]]:
        """Each checkpoint's coordinates."""
        return {"a": (0.0, 0.0), "b": (self.base, 0.0), "c": (self.foot, self.height)}

    def coefficients(self, x: float, y: float) -> tuple[float, float, float]:
        """What of A, B and C sums up to the weights at (x, y); the three add up to 1."""
        of_c = y / self.height
        of_b = (x - of_c * self.foot) / self.base
        return 1 - of_b - of_c, of_b, of_c

    def grid(self, points: int) -> tuple[Array, Array]:
        """Coordinates along both sides, [points] each, around all three corners."""
        (low_x, high_x), (low_y, high_y) = (min(0.0, self.foot), max(self.base, self.foot)), (0.0, self.height)
        more_x, more_y = BORDER * (high_x - low_x), BORDER * (high_y - low_y)
        return (
            np.linspace(low_x - more_x, high_x + more_x, points),
            np.linspace(low_y - more_y, high_y + more_y, points),
        )


def plane_through(products: ArrayLike) -> Plane:
    """The plane through A, B and C.

    Args:
        products: [3, 3] inner products of their weights.

    Raises:
        ValueError: the three lie on one line, or are not finite.
    """
    gram = np.asarray(products, float)
    if not np.isfinite(gram).all():
        raise ValueError("a checkpoint's weights are not finite")
    differences = np.array([[-1.0, 1.0, 0.0], [-1.0, 0.0, 1.0]])  # B − A, C − A
    (bb, bc), (_, cc) = differences @ gram @ differences.T
    if bb <= 0 or cc <= 0 or bb * cc - bc**2 <= FLAT**2 * bb * cc:
        raise ValueError("the three checkpoints lie on one line")
    base = float(np.sqrt(bb))
    foot = float(bc) / base
    return Plane(base, foot, float(np.sqrt(cc - foot**2)))
