"""What a sweep's plan will be able to tell apart, said while most of its runs are still to come."""

from __future__ import annotations

from hpcli.analysis.power import Foreseen
from hpcli.analysis.verdict import Verdict


def foresight(found: Verdict, *, num_seeds: int, level: float) -> str | None:
    """What so many seeds find, beside what matters. None: the runs so far say nothing about noise.

    Args:
        found: of the first seeds.
        num_seeds: that are planned.
        level: at which they will be judged.
    """
    judged = [each for each in found.comparisons if each.difference is not None]
    if not found.noise_sd or not found.noise_df or len(judged) < 2:
        return None
    plan = Foreseen.of(found.noise_sd, found.noise_df, num_values=len(judged), num_seeds=num_seeds, level=level)
    says = (
        f"by the noise so far, {num_seeds} seeds find differences of about {plan.difference:.2g} ({plan.low:.2g} to "
        f"{plan.high:.2g}) four times out of five"
    )
    if not found.margin:
        return says
    says += f"; what matters is {found.margin:.2g}"
    if plan.low <= found.margin:
        return says
    return (
        f"{says}: this plan can hardly decide; more seeds (--seeds) can, longer runs (--epochs), or a larger --matters"
    )
