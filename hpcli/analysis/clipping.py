"""Where to clip the gradient, from the norms that it had at a run's steps.

Near their 90th percentile; where more than half of the steps would be clipped, a lower learning rate says the same more
plainly (Godbole et al., Deep Learning Tuning Playbook, 2023, on unstable training).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

PERCENTILE = 90.0
MOST_CLIPPED = 0.5
"""Share of the steps above which clipping is a learning rate in disguise."""


@dataclass(frozen=True)
class GradientNorms:
    """The norms of a run's gradients, before clipping.

    Attributes:
        median: half of them lie below.
        threshold: their 90th percentile, where to clip.
        highest: of those that are numbers.
        clipped: share of the steps that were clipped; None: none could be.
    """

    median: float
    threshold: float
    highest: float
    clipped: float | None = None

    @property
    def clips_too_much(self) -> bool:
        """Whether a lower learning rate would do the same."""
        return self.clipped is not None and self.clipped > MOST_CLIPPED


def gradient_norms(norms: ArrayLike, clip_norm: float | None = None) -> GradientNorms | None:
    """What a run's gradients were like; None: there are no norms.

    Args:
        norms: [S], L2, before clipping; what is not a number was not measured, what is infinite is left out.
        clip_norm: what they were clipped to; None: they were not.
    """
    found = np.asarray(norms, float)
    finite = found[np.isfinite(found)]
    if not finite.size:
        return None
    median, threshold = np.percentile(finite, [50, PERCENTILE])
    clipped = None if clip_norm is None else float(np.mean(finite > clip_norm))
    return GradientNorms(float(median), float(threshold), float(finite.max()), clipped)
