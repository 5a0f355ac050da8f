"""What the norms of a run's gradients come to, and where to clip them, for a summary."""

from __future__ import annotations

from hpcli.analysis.clipping import MOST_CLIPPED, GradientNorms, gradient_norms
from hpcli.config.varying import written
from hpcli.recording.rows import Columns
from hpcli.results import Summary


def gradients_of(steps: Columns, clip_norm: float | None) -> GradientNorms | None:
    """What a run's gradients were like; None: their norms were not recorded.

    Args:
        steps: its table `steps`; one of an older hpcli has no norms.
        clip_norm: its `train.clip_norm`.
    """
    return gradient_norms(steps.get("grad_norm", ()), clip_norm)


def gradient_facts(found: GradientNorms | None, clip_norm: float | None) -> Summary:
    """The norms in plain values, and what they say; nothing where there are none."""
    if found is None:
        return {}
    facts: Summary = {
        "grad_norm_median": found.median,
        "grad_norm_p90": found.threshold,
        "grad_norm_max": found.highest,
    }
    if found.clipped is not None:
        facts["clipped"] = found.clipped
    return {**facts, "gradients": gradient_words(found, clip_norm)}


def gradient_words(found: GradientNorms, clip_norm: float | None) -> str:
    """Where to clip, in a sentence, with what to try."""
    high, most = two_digits(found.threshold), two_digits(found.highest)
    norms = f"nine in ten of the gradient's norms lie below {high}, the highest is {most}"
    if found.clipped is None or clip_norm is None:
        return f"{norms[0].upper()}{norms[1:]}: to clip those above, --set train.clip_norm={high}"
    clipped = f"{found.clipped:.0%} of the steps were clipped to {clip_norm:g}"
    if not found.clips_too_much:
        return f"{clipped}; {norms}"
    return (
        f"{clipped}, more than {MOST_CLIPPED:.0%}: a lower schedule.max_lr does that more plainly; {norms}: to clip "
        f"those above alone, --set train.clip_norm={high}"
    )


def two_digits(norm: float) -> str:
    """A norm as a value to set: 120, 2.1, 0.034."""
    return written(float(f"{norm:.2g}"))
