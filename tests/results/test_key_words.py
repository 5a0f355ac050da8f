"""What a key does, in words."""

from __future__ import annotations

import pytest

from hpcli.analysis.profile import Part, Profile
from hpcli.config import load_config
from hpcli.config.space import space
from hpcli.results.key_words import effect

LR = space(load_config())[0]  # 1e-4 to 0.1: six parts of half a decade


def profile(*worse: float) -> Profile:
    """Parts that are so much worse at least, in log loss; at most by .5 more. The best is in the middle of the lowest."""
    count = len(worse)
    return Profile(
        tuple(Part(i / count, (i + 1) / count, low, low + 0.25, low + 0.5, 1.0) for i, low in enumerate(worse))
    )


@pytest.mark.parametrize(
    ("worse", "said"),
    [
        ((0.3, 0.3, 0.0, 0.0, 0.0, 0.4), "1e-3 to 0.0316: no difference found; 0.0562 is worse by 49 to 146 %"),
        ((0.005, 0.3, 0.005, 0.0, 0.005, 0.005), "1e-3 to 0.1: no difference found; 5.62e-4 is worse by 35 to 123 %"),
        ((0.005, 0.0, 0.005, 0.005, 0.3, 0.005), "1e-4 to 0.01: no difference found; 0.0178 is worse by 35 to 123 %"),
        ((0.0, 0.3, 0.005, 0.3, 0.005, 0.3), "1e-4 to 3.16e-4: no difference found; 5.62e-4 is worse by 35 to 123 %"),
        ((0.005,) * 6, "no difference found; one of up to 66 % of the loss is possible"),
    ],
)
def test_what_is_said_to_be_as_good_holds_nothing_that_is_worse(worse: tuple[float, ...], said: str) -> None:
    """A part beyond one that is worse may be as good for all that is known: it is not said to be."""
    assert effect(LR, profile(*worse)) == said
