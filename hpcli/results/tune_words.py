"""What `tune` found, in words: what to use, what it gains, what matters, and what could not be told."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping

from pydantic import JsonValue

from hpcli.analysis.gain import PRIOR_DF
from hpcli.analysis.power import LEVEL, found_gap
from hpcli.config import to_yaml
from hpcli.config.space import DECAY, LR, MOMENTUM
from hpcli.config.varying import written
from hpcli.results.key_words import at_ends, effect, name_of, open_ends, per_cent
from hpcli.results.searched import LEARNT
from hpcli.results.trials import said_of_short
from hpcli.results.tune_budget import MOST, MOST_PAIRS
from hpcli.results.tuning import Tuning
from hpcli.states import RunStatus

REASONS = {
    LR: "the largest that still trains is not always the best: runs to their end choose it (1803.09820, section 4.1)",
    MOMENTUM: "multiplies the step, lr / (1 - momentum): searched together with it (1803.09820, section 4.3)",
    DECAY: "balances the regularisation that learning rate and momentum bring (1803.09820, section 4.4)",
}
SEEDS = 3
"""Fresh seeds of a verdict that is foreseen."""


def sentence(result: Tuning) -> str:
    """The finding, and what has to be known of the runs that it comes from."""
    if result.choice is None:
        return _nothing(result)
    plan, parts = result.plan, [_verdict(result)]
    if not result.is_kept and not result.is_lost:  # nor further on from what has just diverged
        parts += [f"{each}: better may lie beyond, give tune.values a wider range." for each in at_ends(result.fitted)]
        parts += open_ends(result.fitted)
    if plan is not None and plan.pairs == 0 and not len(result.pairs) and _differs(result):
        what = "The search's best" if result.is_kept else "It"
        parts.append(f"{what} has not been compared on fresh seeds: {surer(plan.runs + 2 * SEEDS, SEEDS)} does that.")
    if result.is_lost:
        parts.append(f"The training at its own length diverged ({result.trained_in}/): lower schedule.max_lr.")
    if failed := sum(trial.status == RunStatus.FAILED for trial in result.searched.over):
        parts.append(f"{failed} run{'s' * (failed > 1)} of the search failed, and count as runs that learnt nothing.")
    return " ".join(parts) + said_of_short([*result.trials, *result.fresh])


def _differs(result: Tuning) -> bool:
    """Whether there are two settings to compare."""
    return result.gain is not None and not result.is_idle


def _nothing(result: Tuning) -> str:
    if result.own_fresh and result.winner_name is not None:
        return f"No value is recommended: on fresh seeds {_lost(result)}. Lower the range of max_lr (tune.values)."
    over = [trial for trial in result.trials if trial.has_ended]
    if not over:
        return of_range_test(result)
    if all(trial.status == RunStatus.DIVERGED for trial in over):
        return f"All {len(over)} settings diverged: no value is recommended. Lower the range of max_lr (tune.values)."
    if all(trial.status == RunStatus.FAILED for trial in over):
        return f"All {len(over)} runs failed; the error.log of each says why."
    losses = [trial.loss for trial in over if math.isfinite(trial.loss)]
    if not losses:
        return f"All {len(over)} runs diverged or failed; the error.log of each that failed says why."
    return (
        f"Nothing was learnt at any of {len(over)} settings: the lowest loss is {min(losses):.3g}, guessing has "
        f"{result.data.chance_loss():.3g}. No value is recommended; give runs more --epochs, or look at images and "
        "labels (hpcli train draws the first batch)."
    )


def of_range_test(result: Tuning) -> str:
    """What is known before the first run."""
    if result.ranges:
        return f"{result.ranges[0].why}."
    found = None if result.range_test is None else result.range_test.suggestion
    if found is not None and found.refused:
        return f"The range test suggests nothing ({found.refused}); max_lr is searched in its usual range."
    return "No run has ended yet: nothing to tell."


def _verdict(result: Tuning) -> str:
    found, count = result.gain, len([trial for trial in result.trials if trial.has_ended])
    cycles = f"{result.plan.epochs}-epoch cycles" if result.plan else "short runs"
    present = named(result, result.present)
    lost = _lost(result)
    if found is None:
        lowest = f"of {count} settings in {cycles} it has the lowest fitted loss"
        return f"Keep what you have, {present}: {lowest}.{_seen(result)}"
    if result.is_idle:
        most = max(part.high for each in result.profiles for part in each.parts)
        return (
            f"Keep what you have, {present}: in {cycles} nothing that was searched matters, by at most "
            f"{per_cent(math.expm1(most))} % anywhere."
        )
    seeds = len({trial.seed for trial in result.own_fresh if trial.has_ended})
    if result.is_kept:
        said = lost or f"a loss {_interval(found.estimate, found.low, found.high)}"
        against = f" Against it the search's best, on {_seeds(seeds)}: {said}." if seeds else ""
        seen = "" if lost else _seen(result)
        return f"Keep what you have, {present}: nothing was shown to be better in {cycles}.{against}{seen}"
    chosen = f"Use {named(result, result.choice or {})}"
    if lost:
        return f"{chosen}: on {_seeds(seeds)} {lost}, in {cycles}. The present values are {present}."
    if found.estimate is None:
        return f"{chosen}: the lowest of {count} settings in {cycles}, by the surface through them."
    said = _interval(found.estimate, found.low, found.high)
    sure = (
        f"on {_seeds(found.pairs)} its loss is {said} than with the present values ({present}), in {cycles}."
        if found.is_sure
        else f"the search favours it; on {_seeds(found.pairs)} a loss {said} than with the present values ({present}), "
        f"in {cycles}: the likelier of the two, not shown to be better.{_cost(result)}"
    )
    return f"{chosen}: {sure}"


def _lost(result: Tuning) -> str:
    """How many of the verdict's runs came to nothing; empty: none, so that losses can be compared."""
    runs, found = [trial for trial in result.own_fresh if trial.has_ended], []
    for name, of in ((result.present_name, "with the present values"), (result.winner_name, "with the search's best")):
        own = [trial for trial in runs if trial.value == name]
        counts = {
            str(status): sum(trial.status == status for trial in own)
            for status in (RunStatus.DIVERGED, RunStatus.FAILED)
        }
        if result.learns(name) is False:  # single runs at chance have losses that can be compared
            counts["learnt nothing"] = sum(trial.loss >= LEARNT * result.data.chance_loss() for trial in own)
        found += [f"{count} of {len(own)} runs {of} {what}" for what, count in counts.items() if count]
    return " and ".join(found)


def _seeds(pairs: int) -> str:
    return f"{pairs} fresh seed{'s' * (pairs > 1)}"


def _interval(estimate: float | None, low: float | None, high: float | None) -> str:
    """A difference in words: 12 % lower [3 to 20 %], or 5 % lower [8 % higher to 17 % lower]."""
    if estimate is None or low is None or high is None:
        return ""
    if low * high > 0:
        near, far = sorted((_share(low), _share(high)))
        return f"{_less(estimate)} [{per_cent(near)} to {per_cent(far)} %]"
    return f"{_less(estimate)} [{_less(low)} to {_less(high)}]"


def _less(gain: float) -> str:
    return f"{per_cent(_share(gain))} % {'lower' if gain >= 0 else 'higher'}"


def _share(gain: float) -> float:
    return percent(gain) if gain >= 0 else math.expm1(-gain)


def percent(log_loss: float) -> float:
    """A difference in log loss as a share: .1 is 9.5 % less."""
    return -math.expm1(-log_loss)


def _seen(result: Tuning) -> str:
    """What a better setting could have gained: what the pairs rule out, or what a verdict would show."""
    found, surface = result.gain, result.searched.surface
    if found is not None and found.high is not None:
        return f" A gain above {per_cent(percent(found.high))} % is ruled out.{_cost(result)}" if found.high > 0 else ""
    if surface is None or not result.profiles:  # so few runs tell nothing of noise
        return ""
    gap = per_cent(percent(shown_gap(surface.noise)))
    return f" {SEEDS} fresh seeds would show a gain of {gap} % four times out of five."


def shown_gap(noise: float) -> float:
    """The gain, in log loss, that a verdict shows four times out of five; noise: of a run, by a surface."""
    return found_gap(2, SEEDS, round(PRIOR_DF) + SEEDS - 1, LEVEL, is_estimate=True) * noise


def more_pairs(result: Tuning) -> tuple[int, int] | None:
    """Runs and pairs, in all, of an interval half as wide; None: nothing was compared, or it takes too many."""
    plan, pairs = result.plan, 4 * len(result.pairs)
    if plan is None or result.gain is None or not 0 < pairs <= MOST_PAIRS:
        return None
    runs = plan.runs + 2 * (pairs - plan.pairs)
    return (runs, pairs) if runs <= MOST else None


def _cost(result: Tuning) -> str:
    """What an interval half as wide takes."""
    more = more_pairs(result)
    return f" An interval half as wide takes {more[1]} pairs: go on with {surer(*more)}." if more else ""


def surer(runs: int, pairs: int) -> str:
    """The options of a tuning that goes on to so many runs and pairs."""
    return f"--runs {runs} --confirm {pairs}"


def named(result: Tuning, values: Mapping[str, JsonValue]) -> str:
    """Values by the names of their keys."""
    return ", ".join(f"{name_of(each)} {written(values[each.key])}" for each in result.space)


def by_fresh_seeds(result: Tuning) -> dict[str, str]:
    """Key → what the fresh seeds say of it, where they have compared two values of it alone."""
    key = result.shown_better
    return {} if key is None else {key: f"; on fresh seeds the present {written(result.present[key])} is worse"}


def best_yaml(result: Tuning) -> str | None:
    """The config with what was found, each value with its reason; None: nothing was found."""
    config = result.best_config
    if config is None or result.choice is None:
        return None
    head = ["# Made by `hpcli tune`; `hpcli train -c` this file trains with what it found."]
    head += [f"# {line}" for line in _wrapped(sentence(result))]
    notes = {key: _reason(result, place, key) for place, key in enumerate(result.choice)}
    head += [f"# {key}: {note}" for key, note in notes.items() if key.count(".") != 1]
    body, section = [], ""
    for line in to_yaml(config).splitlines():
        if line and not line[0].isspace():
            section = line.partition(":")[0]
        key = f"{section}.{line.strip().partition(':')[0]}"
        if key in notes and len(line) - len(line.lstrip()) == 2:
            body += [f"  # {part}" for part in _wrapped(notes[key])]
        body.append(line)
    return "\n".join([*head, *body]) + "\n"


def _reason(result: Tuning, place: int, key: str) -> str:
    was = "kept" if result.is_kept else f"was {written(result.present[key])}"
    unknown = "too few runs to tell what it does"
    does = effect(result.space[place], result.profiles[place]) if result.profiles else unknown
    why = f"; {REASONS[key]}" if key in REASONS else ""
    return f"{was}; {does}{by_fresh_seeds(result).get(key, '')}{why}"


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, 110, break_long_words=False, break_on_hyphens=False)
