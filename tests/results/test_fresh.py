"""What fresh seeds say of the chosen value, also where some of its runs come to nothing."""

from __future__ import annotations

import pytest

from hpcli.results.fresh import Fresh, FreshTrial
from hpcli.states import RunStatus


def trial(seed: int, loss: float | None, status: RunStatus = RunStatus.FINISHED) -> FreshTrial:
    return FreshTrial(f"{seed}", "0.01", seed, status, loss, None, None, 1.0, "optimizer.weight_decay", None, False)


@pytest.mark.parametrize(
    ("trials", "said"),
    [
        (
            [trial(0, 0.4), trial(1, 0.5)],
            "On 2 fresh seeds 0.01 has a loss of 0.45 ± 0.05 (0.3 on those that chose it).",
        ),
        (
            [trial(0, 0.4), trial(1, None, RunStatus.DIVERGED), trial(2, None, RunStatus.FAILED)],
            "On 1 fresh seed 0.01 has a loss of 0.4 (0.3 on those that chose it); 2 of 3 runs on fresh seeds diverged or "
            "failed.",
        ),
        (
            [trial(0, None, RunStatus.FAILED), trial(1, None, RunStatus.DIVERGED)],
            "With 0.01 2 of 2 runs on fresh seeds diverged or failed: do not use it.",
        ),
    ],
)
def test_what_fresh_seeds_say(trials: list[FreshTrial], said: str) -> None:
    found = Fresh.of("0.01", trials)
    assert found is not None
    assert found.in_words("0.01", 0.3) == said


def test_nothing_is_said_before_a_run_has_ended() -> None:
    assert Fresh.of("0.01", [trial(0, None, RunStatus.WAITING)]) is None
    assert Fresh.of("0.1", [trial(0, 0.4)]) is None
