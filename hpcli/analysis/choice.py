"""The value of a sweep to use, and the sweep's finding in words."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from hpcli.analysis.verdict import Comparison, Verdict
from hpcli.states import Judgement, Reason

CHEAPER = 0.9
"""A value is cheaper where its runs take less than this share of the next one's time: clocks are noisy."""


@dataclass(frozen=True)
class Choice:
    """The value to use. It is not always the value with the lowest mean."""

    index: int  # of the value
    reason: Reason
    extend: bool = False  # it lies at the edge of what was tried: the best may lie beyond
    is_lowest: bool = False  # its mean is the lowest, whatever the reason

    @property
    def words(self) -> str:
        """The reason, after the value's name."""
        beyond = "; it lies at the edge of what was tried: extend the grid" if self.extend else ""
        return f"{(_OF_LOWEST if self.is_lowest else _WORDS)[self.reason]}{beyond}"


_WORDS = {
    Reason.BEST: "the best",
    Reason.ONLY: "the only value tried",
    Reason.KEPT: "which you have now: the difference from the lowest mean does not matter",
    Reason.CHEAPEST: "the cheapest: the difference from the lowest mean does not matter",
    Reason.LOWEST: "the lowest mean",
}
_OF_LOWEST = _WORDS | {
    Reason.KEPT: "which you have now and which has the lowest mean",
    Reason.CHEAPEST: "the cheapest, with the lowest mean",
}


def choose(
    found: Verdict,
    *,
    positions: Sequence[float] | None,
    present: int | None = None,
    seconds: Sequence[float] | None = None,
) -> Choice | None:
    """The lowest mean, unless a value that is not worse by more than what matters costs less: no change, or less time.

    Undecided is no tie: an undecided value may be far worse, and what is measured so far says that it is. Only a value
    that is equal, or whose mean is within `matters` of the lowest, is taken for as good.

    Args:
        found: of the values, in their order.
        positions: of each value on its own scale, such as log10 of a weight decay; None: values without an order.
        present: index of the value that is in use now; None: it was not among them.
        seconds: of a run of each value, where values differ in cost.

    Returns:
        None where no value is left to choose from.
    """
    eligible = found.eligible
    if not eligible:
        return None
    best = next(index for index in eligible if found.comparisons[index].verdict == Judgement.BEST)
    good = [index for index in eligible if _is_as_good(found.comparisons[index], found.margin or 0.0)]
    edges = _edges(positions)
    if len(found.comparisons) == 1:
        return Choice(best, Reason.ONLY)
    if len(eligible) == 1:
        return Choice(best, Reason.BEST, best in edges)
    if present in good:
        return Choice(present, Reason.KEPT, present in edges and best in edges, present == best)
    cheapest = _cheapest(good, seconds)
    if cheapest is not None:
        return Choice(cheapest, Reason.CHEAPEST, cheapest in edges and best in edges, cheapest == best)
    return Choice(best, Reason.LOWEST, best in edges)


def _is_as_good(each: Comparison, margin: float) -> bool:
    small = each.difference is not None and each.difference <= margin
    return small or each.verdict == Judgement.EQUAL


def _edges(positions: Sequence[float] | None) -> set[int]:
    """The lowest and the highest value, where there are values between them."""
    if positions is None or len(positions) < 3:
        return set()
    return {int(np.argmin(positions)), int(np.argmax(positions))}


def _cheapest(good: Sequence[int], seconds: Sequence[float] | None) -> int | None:
    if seconds is None or len(good) < 2:
        return None
    first, second = sorted(good, key=lambda index: seconds[index])[:2]
    return first if seconds[first] < CHEAPER * seconds[second] else None


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
    others = [found.comparisons[index] for index in found.eligible if index != choice.index]
    parts = [f"{says}, {choice.words}.", *_also(others, found, num_seeds, too_alike)]
    parts += _against_the_best([each for each in found.comparisons if each not in others and each is not chosen])
    wild = [str(each.value) for each in found.comparisons if each.unstable and each not in others]
    parts += [f"{listed(wild)} {'is' if len(wild) == 1 else 'are'} far noisier than the others."] if wild else []
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


def _also(others: Sequence[Comparison], found: Verdict, num_seeds: int, too_alike: Collection[str]) -> list[str]:
    """Those that may be used, too: as good, or not told apart, for noise or because the runs are too short."""
    alike = [str(each.value) for each in others if each.verdict in (Judgement.EQUAL, Judgement.BEST)]
    short, equal = [each for each in alike if each in too_alike], [each for each in alike if each not in too_alike]
    rest = [each for each in others if str(each.value) not in alike]
    parts = [f"The runs are too short to tell {listed(short)} from it."] if short else []
    parts += [f"{listed(equal)} {'is' if len(equal) == 1 else 'are'} as good."] if equal else []
    if rest:
        gaps = listed([f"{each.value} ({_signed(each.difference)}{', far noisier' * each.unstable})" for each in rest])
        sight = "" if all(each.unstable for each in rest) else _sight(found, num_seeds)
        parts.append(f"Not told apart from the lowest mean: {gaps}{sight}.")
    return parts


def _cost(found: Verdict, num_seeds: int) -> list[str]:
    needed = found.seeds_for_matters
    if needed is None or (needed.high is not None and needed.high <= num_seeds):
        return []
    return [f"To find a difference of {found.margin:.1g}, which is what matters: {needed.beyond(num_seeds)} seeds."]


def listed(names: Sequence[str]) -> str:
    """Names as a sentence lists them."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _signed(difference: float | None) -> str:
    return "no difference known" if difference is None else f"{difference:+.2g}"


def _sight(found: Verdict, num_seeds: int) -> str:
    if found.resolution is None:
        return ""
    shared = 100 * (found.seed_correlation or 0)
    share = f" ({shared:.0f} % of the noise comes with the seed, and drops out)" if shared > 0 else ""
    return f"; {num_seeds} seeds find a true difference of {found.resolution:.2g} four times out of five{share}"


def _against_the_best(behind: Sequence[Comparison]) -> list[str]:
    """Those that are not to be used, and why: differences one by one, values that failed alike together."""
    parts = []
    for each in behind:
        if each.verdict == Judgement.WORSE:
            interval = "" if each.low is None else f" [{each.low:.2g}, {each.high:.2g}]"
            parts.append(f"{each.value} is worse by {each.difference:.2g}{interval}.")
        elif each.verdict == Judgement.UNDECIDED:
            parts.append(f"{each.value} is not the best ({each.difference:+.2g}).")
    failed = (Judgement.AT_CHANCE, Judgement.DIVERGED, Judgement.MISSING)
    alike = {state: [each for each in behind if each.verdict == state] for state in failed}
    return parts + [_failed(group, state) for state, group in alike.items() if group]


def _failed(alike: Sequence[Comparison], state: Judgement) -> str:
    names, is_one = listed([str(each.value) for each in alike]), len(alike) == 1
    if state == Judgement.AT_CHANCE:
        losses = sorted({f"{each.mean:.3g}" for each in alike}, key=float)
        level = f"a loss of {losses[0]}" if len(losses) == 1 else f"losses of {losses[0]} to {losses[-1]}"
        return f"{names} {'has' if is_one else 'have'} learnt nothing ({level})."
    if state == Judgement.MISSING:
        return f"{names} {'misses' if is_one else 'miss'} runs, which failed or were not made."
    return f"{names} {state}."
