"""What ails a training run: the signs that its curves show, each with its evidence; none where it is sound.

After Smith's clues (1803.09820, section 3, and figures 1 to 4): a validation loss that still falls is underfitting, one
that rises while the training loss falls is overfitting, a jump is instability, and neither is dropout or augmentation,
which the training loss measured like the validation loss tells apart. Every sign has to stand out from the curves' own
noise, and from what matters, which is counted in the chance loss.
"""

from __future__ import annotations

from collections.abc import Callable

from hpcli.analysis import lr_signs, signs
from hpcli.analysis.epochs import Curves
from hpcli.analysis.signs import Finding
from hpcli.states import Sign

_ALONE: tuple[Callable[[Curves], Finding | None], ...] = (signs.collapsed, signs.at_chance)
"""Where one of these holds, the other curves say nothing."""
_SIGNS: tuple[Callable[[Curves], Finding | None], ...] = (
    lr_signs.unstable,
    lr_signs.lr_too_high,
    lr_signs.lr_too_low,
    lr_signs.lr_not_annealed,
    signs.bn_lag,
    signs.overfitting,
    signs.underfitting,
    signs.regularised,
)
_EXPLAINED = {
    Sign.BN_LAG: {Sign.OVERFITTING, Sign.UNDERFITTING},
    Sign.LR_TOO_HIGH: {Sign.UNSTABLE, Sign.UNDERFITTING},
    Sign.LR_TOO_LOW: {Sign.UNDERFITTING},
    Sign.LR_NOT_ANNEALED: {Sign.UNDERFITTING},
}
"""Sign → signs that come of it, and are not said besides: a high loss has one cause."""


def diagnose(curves: Curves) -> tuple[Finding, ...]:
    """The signs that a run's curves show; none: nothing is to be said.

    Args:
        curves: of a run that is over.
    """
    if not len(curves):
        return (Finding(Sign.DIVERGED, {}, ()),) if curves.diverged else ()
    lost = signs.diverged(curves)
    if lost is not None:
        return (lost,)
    curves = curves.bounded()
    alone = next((found for each in _ALONE if (found := each(curves)) is not None), None)
    if alone is not None:
        return (alone,)
    findings = [found for each in _SIGNS if (found := each(curves)) is not None]
    explained = set[Sign]().union(*(_EXPLAINED.get(each.sign, set()) for each in findings))
    said = tuple(each for each in findings if each.sign not in explained)
    return tuple(each for each in said if each.sign.is_fault) or said
