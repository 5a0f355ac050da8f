"""The judgement on settings of several seeds, as on the trials of a sweep; and what it would cost to know more."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from hpcli.results.foreign_runs import ForeignRuns, Losses, Value
from hpcli.results.foreign_verdict import ForeignVerdict, judge
from hpcli.runs.comparison import Comparison, Setting
from hpcli.states import Judgement

SEEDS_WORTH_HAVING = 3
"""Seeds with which a comparison begins to tell something."""


def judged_settings(settings: Sequence[Setting], *, chance: float, matters: float, look: int) -> ForeignVerdict | None:
    """The verdict on settings of two seeds at least; None: fewer than two are.

    Args:
        settings: with a run a seed.
        chance: the loss of a network that has learnt nothing.
        matters: the difference worth knowing, as a share of the lowest mean.
        look: how often they have been judged, this time included.
    """
    several = [each for each in settings if len(each.runs) > 1]
    if len(several) < 2:
        return None
    losses: Losses = {value_of(each): {str(run.seed): run.loss for run in each.runs} for each in several}
    keys = list(several[0].values)
    runs = ForeignRuns(keys[0] if len(keys) == 1 else "setting", losses, has_seeds=True, notes=())
    known = chance if math.isfinite(chance) else None
    return judge(runs, judged="validation loss", matters=matters, chance=known, look=look)


def value_of(setting: Setting) -> Value:
    """What a setting is called in a verdict: where one key differs, its value."""
    values: Mapping[str, object] = setting.values
    value = next(iter(values.values())) if len(values) == 1 else None
    is_plain = isinstance(value, int | float | str) and not isinstance(value, bool)
    return value if is_plain else setting.name  # type: ignore[return-value]


def in_words(compared: Comparison) -> str:
    """What can be told, and what it would cost to tell more; empty: no training runs are compared."""
    settings, found = compared.settings, compared.found
    if not compared.trained:
        return ""
    if not settings:
        return "No run is over, so nothing is judged."
    if len(settings) == 1:
        (only,) = settings
        error = only.standard_error
        noise = "" if error is None else f" ± {error:.2g} (standard error)"
        count = len(only.runs)
        runs = f"{count} runs are" if count > 1 else "One run is"
        return f"{runs} of one setting, so there is nothing to judge: a loss of {only.mean:.4g}{noise}."
    if found is None:
        return _not_judged(settings)
    sentence = str(found.summary()["sentence"])
    alone = [each.name for each in settings if len(each.runs) == 1]
    if alone:
        sentence += f" Of one seed, and not judged: {'; '.join(alone)}."
    unsure = (Judgement.UNDECIDED, Judgement.CANNOT_TELL)
    if any(each.verdict in unsure for each in found.verdict.comparisons):
        several = len(settings) - len(alone)
        lasting = _lasting(several * _seconds(settings))
        sentence += f" One more seed of each of these {several} settings takes about {lasting}."
    return sentence


def _not_judged(settings: Sequence[Setting]) -> str:
    """That differences may be noise, and what it takes to know."""
    runs = sum(max(SEEDS_WORTH_HAVING - len(each.runs), 0) for each in settings)
    several = sum(len(each.runs) > 1 for each in settings)
    known = f"{'only one' if several else 'none'} of {len(settings)} settings has two seeds"
    return (
        f"It cannot be told whether these differences are more than noise: {known}. Three seeds of each are {runs} "
        f"runs more, about {_lasting(runs * _seconds(settings))}; hpcli train -c RUN/config.yaml --seed N is one."
    )


def _seconds(settings: Sequence[Setting]) -> float:
    """Of a run, on the mean."""
    known = [run.glance.seconds for each in settings for run in each.runs if run.glance.seconds]
    return sum(known) / len(known) if known else math.nan


def _lasting(seconds: float) -> str:
    if math.isnan(seconds):
        return "as long as they took"
    unit, name = next(((size, name) for size, name in ((3600, "h"), (60, "min")) if seconds >= 2 * size), (1, "s"))
    return f"{seconds / unit:.0f} {name}"
