"""The finding of a sweep in words."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from hpcli.analysis.choice import Choice
from hpcli.analysis.verdict import Comparison, Verdict
from hpcli.states import Judgement, Reason


@dataclass(frozen=True)
class Remedies:
    """What to do about runs that say too little: it depends on where they were made."""

    one_seed: str = "use --seeds 3 or more"
    at_chance: str = "find a learning rate with hpcli lr-find, or train longer (--epochs)"
    missing: str = "see the error.log of each in trials/"
    diverged: str = "lower the learning rate (hpcli lr-find shows how far it can go)"
    identical: str = "identical to the bit"  # no remedy, but likewise: what a file rounds may differ


ELSEWHERE = Remedies(
    one_seed="train each value with three seeds or more",
    at_chance="find a learning rate that trains, or train longer",
    missing="train those that failed again",
    diverged="lower the learning rate",
    identical="the same in every digit given",
)
"""For runs that hpcli has not made."""


def in_words(
    found: Verdict,
    choice: Choice | None,
    *,
    horizon: str,
    num_seeds: int,
    parameter: str = "the key",
    chance: float | None = None,
    remedies: Remedies = Remedies(),
    too_alike: Collection[str] = (),
    most: int | None = None,
) -> str:
    """What to use and why, what else may be as good, what is worse and by how much, and what it costs to know more.

    Args:
        found: compared values, each with its name.
        choice: from them; None: none is left.
        horizon: what it holds for, such as "For 2-epoch cycles"; empty: nothing is said of it.
        num_seeds: of each value.
        parameter: the key or keys whose values these are.
        chance: the loss of a network that has learnt nothing.
        remedies: what to do about runs that say too little.
        too_alike: values whose runs are too short to differ from those of the chosen one: they are not called as good.
        most: so many values of those judged alike are named, those nearest to the best; None: all, in their order.
    """
    if choice is None:
        return _after(horizon, _refusal(found, chance, remedies))
    if found.identical:
        return _after(
            horizon,
            f"all runs of a seed are {remedies.identical}: {parameter} does nothing here, "
            f"{found.comparisons[choice.index].value} is as good as any.",
        )
    chosen = found.comparisons[choice.index]
    says = f"keep {chosen.value}" if choice.reason == Reason.KEPT else f"use {chosen.value}"
    may_be_used = [found.comparisons[index] for index in found.eligible]
    rest = [each for each in (found.comparisons if most is None else _nearest_first(found)) if each is not chosen]
    others = [each for each in rest if each in may_be_used]
    parts = [f"{says}, {choice.words}.", *_also(others, found, num_seeds, too_alike, most)]
    parts += _against_the_best([each for each in rest if each not in others], most)
    wild = [str(each.value) for each in found.comparisons if each.unstable and each not in others]
    parts += [f"{listed(wild, most)} {'is' if len(wild) == 1 else 'are'} far noisier than the others."] if wild else []
    if others and found.noise_sd is None:
        parts.append(f"One seed cannot tell values apart: {remedies.one_seed}.")
    elif any(each.verdict == Judgement.UNDECIDED for each in others):
        parts += _cost(found, num_seeds)
    return _after(horizon, " ".join(parts))


def _after(horizon: str, text: str) -> str:
    return f"{horizon}: {text}" if horizon else f"{text[0].upper()}{text[1:]}"


def _refusal(found: Verdict, chance: float | None, remedies: Remedies) -> str:
    """Why no value can be used, and what to do."""
    states = {each.verdict for each in found.comparisons}
    if Judgement.AT_CHANCE in states:
        level = "" if chance is None else f" (chance is a loss of {chance:.3g})"
        return f"no value has learnt anything{level}, so they cannot be compared: {remedies.at_chance}."
    if states == {Judgement.MISSING}:
        return f"no value has all of its runs, so they cannot be compared: {remedies.missing}."
    return f"no value trained; {remedies.diverged}."


def _nearest_first(found: Verdict) -> list[Comparison]:
    return sorted(found.comparisons, key=lambda each: np.inf if each.difference is None else each.difference)


def _also(
    others: Sequence[Comparison], found: Verdict, num_seeds: int, too_alike: Collection[str], most: int | None
) -> list[str]:
    """Those that may be used, too: as good, or not told apart, for noise or because the runs are too short."""
    alike = [str(each.value) for each in others if each.verdict in (Judgement.EQUAL, Judgement.BEST)]
    short, equal = [each for each in alike if each in too_alike], [each for each in alike if each not in too_alike]
    rest = [each for each in others if str(each.value) not in alike]
    parts = [f"The runs are too short to tell {listed(short, most)} from it."] if short else []
    parts += [f"{listed(equal, most)} {'is' if len(equal) == 1 else 'are'} as good."] if equal else []
    if rest:
        named = [f"{each.value} ({_signed(each.difference)}{', far noisier' * each.unstable})" for each in rest]
        gaps = listed(named, most)
        sight = "" if all(each.unstable for each in rest) else _sight(found, num_seeds)
        parts.append(f"Not told apart from the lowest mean: {gaps}{sight}.")
    return parts


def _cost(found: Verdict, num_seeds: int) -> list[str]:
    needed = found.seeds_for_matters
    if needed is None or (needed.high is not None and needed.high <= num_seeds):
        return []
    return [f"To find a difference of {found.margin:.1g}, which is what matters: {needed.beyond(num_seeds)} seeds."]


def listed(names: Sequence[str], most: int | None = None) -> str:
    """Names as a sentence lists them; of many only `most`, and how many more there are."""
    if most is not None and len(names) > most + 1:
        names = [*names[:most], f"{len(names) - most} more"]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _signed(difference: float | None) -> str:
    return "no difference known" if difference is None else f"{difference:+.2g}"


def _sight(found: Verdict, num_seeds: int) -> str:
    if found.resolution is None:
        return ""
    shared = 100 * (found.seed_correlation or 0)
    share = f" ({shared:.0f} % of the noise comes with the seed, and drops out)" if shared > 0 else ""
    return f"; {num_seeds} seeds find a true difference of {found.resolution:.2g} four times out of five{share}"


def _against_the_best(behind: Sequence[Comparison], most: int | None) -> list[str]:
    """Those that are not to be used, and why: differences one by one, values that failed alike together."""
    parts = []
    for each in behind:
        if each.verdict == Judgement.WORSE:
            interval = "" if each.low is None else f" [{each.low:.2g}, {each.high:.2g}]"
            parts.append(f"{each.value} is worse by {each.difference:.2g}{interval}.")
        elif each.verdict == Judgement.UNDECIDED:
            parts.append(f"{each.value} is not the best ({each.difference:+.2g}).")
    if most is not None and len(parts) > most + 1:
        parts = [*parts[:most], f"{len(parts) - most} more are worse, or not the best."]
    failed = (Judgement.AT_CHANCE, Judgement.DIVERGED, Judgement.MISSING)
    alike = {state: [each for each in behind if each.verdict == state] for state in failed}
    return parts + [_failed(group, state, most) for state, group in alike.items() if group]


def _failed(alike: Sequence[Comparison], state: Judgement, most: int | None) -> str:
    names, is_one = listed([str(each.value) for each in alike], most), len(alike) == 1
    if state == Judgement.AT_CHANCE:
        losses = sorted({f"{each.mean:.3g}" for each in alike}, key=float)
        level = f"a loss of {losses[0]}" if len(losses) == 1 else f"losses of {losses[0]} to {losses[-1]}"
        return f"{names} {'has' if is_one else 'have'} learnt nothing ({level})."
    if state == Judgement.MISSING:
        return f"{names} {'misses' if is_one else 'miss'} runs, which failed or were not made."
    return f"{names} {state}."
