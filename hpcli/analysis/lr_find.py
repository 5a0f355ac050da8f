"""What the range tests of several seeds say together: combined, how sensitive, signs of overfitting, and in words."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from hpcli.analysis.suggestion import BREAK_FACTOR, Suggestion, suggest

EARLY = 2.0
"""A seed that breaks this factor below the median of the breaks is worth saying."""


def combine(suggestions: Sequence[Suggestion]) -> Suggestion:
    """One suggestion from several seeds: medians, with a range that also covers the seeds.

    A refusal by half of the seeds or more is a refusal. Seeds that break where others do not are noted.
    """
    given = [each for each in suggestions if each.suggested_lr is not None]
    breaks = [each.blow_up_lr for each in suggestions if each.blow_up_lr is not None]
    notes = tuple(dict.fromkeys(note for each in suggestions for note in each.notes[:1]))[:1]
    if 0 < len(breaks) < len(suggestions):
        notes += (f"{len(breaks)} of {len(suggestions)} seeds break; the others reach the end of the range",)
    blow_up_lr = _median(breaks) if 2 * len(breaks) > len(suggestions) else None
    names = dict.fromkeys(name for each in suggestions for name in each.rules)
    rules = {name: _median([each.rules[name] for each in suggestions if name in each.rules]) for name in names}
    refusals = [each for each in suggestions if each.refusal is not None]
    if 2 * len(refusals) >= len(suggestions) and refusals:
        first = refusals[0]
        return Suggestion(None, None, None, first.refusal, first.refused, blow_up_lr, None, rules, notes)
    if refusals:
        notes += (f"{len(refusals)} of {len(suggestions)} seeds say nothing: {refusals[0].refused}",)
    chosen = [each.suggested_lr for each in given if each.suggested_lr is not None]
    lows = [each.low for each in given if each.low is not None]
    highs = [each.high for each in given if each.high is not None]
    starts = [each.start_lr for each in given if each.start_lr is not None]
    low, high = min(_median(lows), *chosen), max(_median(highs), *chosen)
    return Suggestion(_median(chosen), low, high, None, None, blow_up_lr, _median(starts), rules, notes)


def _median(values: Sequence[float]) -> float:
    """The median on a logarithmic scale."""
    return float(10 ** np.median(np.log10(values)))


def steps_sensitivity(lr: ArrayLike, loss: ArrayLike, *, every: int = 2) -> float | None:
    """How much the suggestion moves when only every second point before the break is looked at: a factor of at least 1.

    What lies beyond the break stays whole: a test ends soon after it, and few points no longer show it. The factor
    tells how far the reading depends on the number of points; a test with more steps also trains the network for longer
    at each learning rate, which this cannot see. None where one of the curves says nothing.
    """
    rates, raw = np.asarray(lr, float), np.asarray(loss, float)
    whole = suggest(rates, raw)
    beyond = rates >= (np.inf if whole.blow_up_lr is None else whole.blow_up_lr)
    kept = [beyond | (np.arange(len(rates)) % every == start) for start in range(every)]
    parts = [whole, *(suggest(rates[each], raw[each]) for each in kept)]
    chosen = [part.suggested_lr for part in parts if part.suggested_lr is not None]
    return max(chosen) / min(chosen) if len(chosen) == len(parts) else None


def overfitting_lr(valid: Sequence[tuple[float, float, float]], tolerance: float = 0.02) -> float | None:
    """Where a small learning rate overfits: the validation loss dips and rises again while the training loss falls on.

    Smith's early sign of overfitting (1803.09820, figures 1 and 4a): the network can fit more than it should, and wants
    a larger learning rate or more weight decay. A rise of both losses is the learning rate's doing and no such sign.

    Args:
        valid: (lr, training loss, validation loss) along the test, both measured in evaluation mode.
        tolerance: a rise must be more than this share of the validation loss.

    Returns:
        The learning rate at the bottom of the first dip; None: there is none.
    """
    for index in range(1, len(valid) - 2):
        lr, train, loss = valid[index]
        rising = [
            each for each in valid[index + 1 : index + 3] if each[2] > loss * (1 + tolerance) and each[1] <= train
        ]
        if valid[index - 1][2] > loss and len(rising) == 2:
            return lr
    return None


def in_words(
    suggestion: Suggestion,
    *,
    num_seeds: int,
    breaks: Sequence[float] = (),
    sensitivity: float | None = None,
    overfitting: float | None = None,
) -> str:
    """The suggestion, or the refusal, in a few sentences.

    Args:
        suggestion: of all seeds.
        num_seeds: how many they are.
        breaks: where those of them break that do.
        sensitivity: see `steps_sensitivity`.
        overfitting: see `overfitting_lr`.
    """
    found = suggestion
    if found.suggested_lr is None:
        return f"No suggestion: {found.refused}."
    seeds = f"{num_seeds} seeds" if num_seeds > 1 else "one seed, so its spread is unknown"
    text = f"max_lr {found.suggested_lr:.2g} for 1cycle, range {found.low:.2g} to {found.high:.2g} ({seeds}). "
    text += _break_in_words(found, num_seeds, breaks)
    if sensitivity is not None and sensitivity > 2.5:
        text += f" With half the points it would move by a factor of {sensitivity:.1f}: raise steps."
    if overfitting is not None:
        text += f" The validation loss dips at {overfitting:.2g}: it can overfit at small learning rates."
    return text


def _break_in_words(found: Suggestion, num_seeds: int, breaks: Sequence[float]) -> str:
    if found.blow_up_lr is None:
        who = f"Of {num_seeds} seeds {len(breaks)} break{'s' * (len(breaks) == 1)}; otherwise the" if breaks else "The"
        return f"{who} loss does not break: a plateau, a super-convergence candidate."
    first = min(breaks, default=found.blow_up_lr)
    early = f", of one seed at {first:.2g}" if first < found.blow_up_lr / EARLY else ""
    is_capped = found.suggested_lr is not None and found.suggested_lr > 0.99 * found.blow_up_lr / BREAK_FACTOR
    return f"The loss breaks at {found.blow_up_lr:.2g}{early}{'; an eighth of that is the limit' * is_capped}."
