"""What a chosen setting gains over the present one: paired runs on fresh seeds, and the surface that chose it.

The lowest of many fitted means is low by luck too, so what it gains is *stated* from runs that had no part in the
choice. Whether to *change* is decided by both: the fresh pairs, and the surface, its standard error times 1.5. They
must speak for the change, and with nineteen chances of twenty it must not be worse by more than four hundredths:
where noise hides which of two settings is the better one, the present one stays. A gain that seems large needs not be
so sure.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from hpcli.analysis.distributions import t_point

COVERAGE = 0.95
DOUBT = 1.5
"""The surface's standard error is taken to be so many times what it says: its winner was chosen for being low."""
BEYOND = 1.645
"""Standard errors below the mean that nineteen cases of twenty lie above."""
TOLERATED = 0.04
"""Log loss that a change may lose, so many standard errors below what it seems to gain."""
BELIEVED = 0.15
"""Log loss: what seems to gain more is taken, however noisy the runs; else a few pairs of noisy runs would never do."""
PRIOR_DF = 2.0
"""What the surface knows of a run's noise counts as so many degrees of freedom, as three pairs alone have. Not more:
where all settings are as good as each other it takes a part of the noise for signal."""


@dataclass(frozen=True)
class Gain:
    """Present minus chosen, in log loss: what is above 0 speaks for the change.

    Attributes:
        estimate, low, high: mean of the fresh pairs and its 95 % interval; None: there are none.
        decided, error: fresh pairs and surface together, and their standard error.
        pairs: how many.
        on_surface: what the surface alone says.
    """

    estimate: float | None
    low: float | None
    high: float | None
    decided: float
    error: float
    pairs: int
    on_surface: float

    @property
    def holds(self) -> bool:
        """Whether the chosen setting takes the present one's place."""
        return self.decided > min(max(0.0, BEYOND * self.error - TOLERATED), BELIEVED)

    @property
    def is_sure(self) -> bool:
        """Whether the interval lies above 0."""
        return self.low is not None and self.low > 0

    @property
    def is_settled(self) -> bool:
        """Whether the interval lies to one side of 0: which of the two is better is known."""
        return self.is_sure or (self.high is not None and self.high < 0)


def gain(
    present: ArrayLike, chosen: ArrayLike, *, on_surface: tuple[float, float], noise: float, level: float = COVERAGE
) -> Gain:
    """The gain of a setting that a surface has chosen.

    Args:
        present: [c] log losses of the present setting on c fresh seeds.
        chosen: [c] of the chosen one on the same seeds; NaN pairs are left out.
        on_surface: mean and standard deviation of present − chosen on the surface.
        noise: the surface's standard deviation of one run, see `Surface.noise`.
        level: of the interval.

    Raises:
        ValueError: not as many of the one as of the other.
    """
    one, other = np.asarray(present, float), np.asarray(chosen, float)
    if one.shape != other.shape:
        raise ValueError("a gain takes pairs: as many runs of the present setting as of the chosen one")
    differences = (one - other)[np.isfinite(one - other)]
    mean, error = on_surface
    doubted = max(DOUBT * error, 1e-9)
    count = len(differences)
    if not count:
        return Gain(None, None, None, mean, doubted, 0, mean)
    own = float(differences.var(ddof=1)) if count > 1 else 0.0
    freedom = PRIOR_DF + count - 1
    pooled = math.sqrt((PRIOR_DF * 2 * noise**2 + (count - 1) * own) / freedom)
    fresh, fresh_error = float(differences.mean()), max(pooled / math.sqrt(count), 1e-9)
    half = t_point((1 + level) / 2, freedom) * fresh_error
    weights = np.array([1 / doubted**2, 1 / fresh_error**2])
    decided = float(weights @ np.array([mean, fresh]) / weights.sum())
    return Gain(fresh, fresh - half, fresh + half, decided, float(weights.sum()) ** -0.5, count, mean)
