"""What was published beside what came out here: the rows of docs/papers.md's table, from the tables that are kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import papers_tables as tables
from papers_tables import Array, Line, Range, Sweep
from scipy.stats import mannwhitneyu, spearmanr, ttest_1samp, ttest_ind

from hpcli import suggest, verdict
from hpcli.analysis.power import LEVEL
from hpcli.analysis.verdict import Comparison, Verdict
from hpcli.results.looks import level_of
from hpcli.states import Judgement

CHANCE = float(np.log(10))
IMAGES = 45_000
"""Of CIFAR-10's training images, those that do not validate."""
CONFIRMED, OPEN, AGAINST = "confirmed", "not told apart", "the other way round"
SEEN, UNPUBLISHED = "seen", "–"
"""A claim that is confirmed, though nobody has published it."""
EXPLAINED = "BatchNorm's averaged statistics"
CONNECTED = 0.02
"""Nats that a loss may rise between two networks that are connected, as `hpcli interpolate` says."""
LOST = {Judgement.WORSE, Judgement.DIVERGED, Judgement.AT_CHANCE}


@dataclass(frozen=True)
class Row:
    """One line of the page's table."""

    config: str  # in configs/papers/
    question: str
    published: str
    here: str
    reading: str  # of the published claim


def rows() -> Iterator[Row]:
    """What was published, and what came out."""
    for name, rows_of in ROWS.items():
        if tables.is_kept(name):
            for row in rows_of():
                own = row.published == UNPUBLISHED or name == "range-trained"
                yield replace(row, reading=row.reading.replace(CONFIRMED, SEEN)) if own else row


def _range_depth() -> Iterator[Row]:
    found = tables.ranges("range-depth")
    learnt = min(_lowest(each) for each in found.values()) < CHANCE
    breaks = [np.isfinite(_breaks(each)) for each in found.values()]
    yield Row(
        "range-depth", "A residual network does not break in a linear range test to 3", "ResNet-56 does not; up to 2 ResNet-20 declines after about 1, ResNet-110 after .6",
        _told(found), "cannot be judged: no loss fell below chance" if not learnt
        else AGAINST if np.all(breaks) else OPEN if np.any(breaks) else CONFIRMED,
    )  # fmt: skip


def _range_plain() -> Iterator[Row]:
    yield _earlier(
        "range-plain", "A plain network breaks at smaller rates than a residual one", "usable up to .01, and up to 3",
        "shallow3", "resnet20",
    )  # fmt: skip


def _range_decay() -> Iterator[Row]:
    yield _earlier(
        "range-decay", "A weight decay of .01 breaks at smaller rates than 1e-4", "1e-4: rises from .0022 on; 4e-3: breaks at .0083; 1e-2: at .0052",
        "0.01", "1e-4",
    )  # fmt: skip


def _earlier(config: str, question: str, published: str, first: str, second: str) -> Row:
    """Range tests of two values of which the first was published to break earlier."""
    found = tables.ranges(config)
    return Row(config, question, published, _told(found), earlier(found[first], found[second]))


def _breaks(test: Range) -> Array:
    """[S] learning rates at which each seed's loss breaks; infinite where it does not."""
    places = [suggest(test.lr, raw, chance_loss=CHANCE).blow_up_lr for raw in test.raw]
    return np.array([np.inf if each is None else each for each in places])


def _lowest(test: Range) -> float:
    """Of the median of the seeds."""
    return float(np.nanmin(np.median(test.smoothed, axis=0)))


def _told(tests: Mapping[str, Range]) -> str:
    """Where each value's seeds break, and how low its loss gets before."""
    said = []
    for name, test in tests.items():
        breaks = _breaks(test)
        broken = breaks[np.isfinite(breaks)]
        where = f"breaks at {_span(broken)}" if len(broken) else "does not break"
        kept = f", {len(breaks) - len(broken)} of {len(breaks)} seeds do not" if 0 < len(broken) < len(breaks) else ""
        said.append(f"{name} {where}{kept} (lowest loss {_lowest(test):.2f})")
    return "; ".join(said)


def earlier(first: Range, second: Range) -> str:
    """Whether the first breaks at smaller learning rates than the second: Mann and Whitney's test, which knows ranks alone."""
    one, other = _breaks(first), _breaks(second)
    if mannwhitneyu(one, other).pvalue >= LEVEL:
        return OPEN
    return CONFIRMED if np.median(one) < np.median(other) else AGAINST


def _sign(interval: tuple[float, float]) -> str:
    """What an interval says of a difference that was published to be above 0."""
    low, high = interval
    return CONFIRMED if low > 0 else AGAINST if high < 0 else OPEN


def _policies() -> Iterator[Row]:
    found = tables.sweep("policies")
    yield Row(
        "policies", "A cyclical rate (triangular2) beats one that stays", "81.4 % in 25,000 steps, as much as in 70,000",
        compared(found), holds(found, "triangular2", "constant"),
    )  # fmt: skip


def _super_convergence() -> Iterator[Row]:
    for table, full, half, about in (
        ("super-convergence", "120", "60", ""),
        ("super-convergence-h100", "45", "23", ", ResNet-56 at 32×32 on an H100, 180 steps"),
    ):
        found = tables.sweep(table)
        names = {
            f"{name} & {steps}": f"{shown}{', half the steps' * (steps == half)} at {tables.chosen_rate(table, f'{name} & {steps}')}"
            for steps in (full, half)
            for name, shown in (("one_cycle", "1cycle"), ("piecewise", "piecewise"))
        }
        yield Row(
            "super-convergence", f"1cycle beats a piecewise-constant rate in equally many steps{about}", UNPUBLISHED,
            compared(found, names), holds(found, f"one_cycle & {full}", f"piecewise & {full}"),
        )  # fmt: skip
        yield Row(
            "super-convergence", f"1cycle in half the steps beats a piecewise-constant rate{about}",
            "in an eighth of the steps: 92.4 beside 91.2 %", "see above", holds(found, f"one_cycle & {half}", f"piecewise & {full}"),
        )  # fmt: skip


def _limited_data() -> Iterator[Row]:
    found, shares = tables.sweep("limited-data"), ("0.02", "0.05", "0.2")
    gaps = {share: _gains(found, share) for share in shares}
    yield Row(
        "limited-data", "1cycle's gain is the larger, the fewer the images", "2 points of accuracy with 40,000, 9 with 10,000",
        "; ".join(_at_own_rates(found, share, gaps[share]) for share in shares),
        _sign(ttest_1samp(gaps["0.02"] - gaps["0.2"], 0).confidence_interval()),
    )  # fmt: skip


def _gains(sweep: Sweep, share: str) -> Array:
    """[S] how much higher 1cycle's accuracy is with a share of the images, in points."""
    cycle, piecewise = (sweep.only(f"{name} & {share}").accuracies[0] for name in ("one_cycle", "piecewise"))
    return 100 * (cycle - piecewise)


def _with_interval(gains: Array) -> str:
    low, high = ttest_1samp(gains, 0).confidence_interval()
    return f"{gains.mean():+.1f} [{low:.1f}, {high:.1f}]"


def _at_own_rates(sweep: Sweep, share: str, gains: Array) -> str:
    both = ", ".join(
        f"{shown} {100 * sweep.only(value).accuracies.mean():.1f} % at {tables.chosen_rate('limited-data', value)}"
        for shown, value in (("1cycle", f"one_cycle & {share}"), ("piecewise", f"piecewise & {share}"))
    )
    images = f"{int(IMAGES * float(share)):,} images"
    return f"{images}: {both}: {_with_interval(gains)} points"


def _batch_sizes() -> Iterator[Row]:
    found = tables.sweep("batch-sizes")
    names = {each: f"{each} at {tables.chosen_rate('batch-sizes', each)}" for each in found.values}
    gains = 100 * (found.only("128").accuracies[0] - found.only("16").accuracies[0])
    yield Row(
        "batch-sizes", "Of equally many images, batches of 128 have the higher accuracy, and those of 16 the lower loss",
        "in equal time: the larger the higher the accuracy, the smaller the lower the loss", compared(found, names),
        f"accuracy: {_sign(ttest_1samp(gains, 0).confidence_interval())}, {_with_interval(gains)} points; loss: {holds(found, '16', '128')}",
    )  # fmt: skip


def _momentum_sgd() -> Iterator[Row]:
    found = tables.sweep("momentum-sgd")
    yield Row(
        "momentum-sgd", "A momentum of .95-.85 beats .85 and .9", ".95-.85 81.3 %, .95 81.2, .9 80.2, .85 79.5, ± .1 to .4",
        compared(found), _each(found, "0.95-0.85", "0.85", "0.9"),
    )  # fmt: skip


def _momentum_adamw() -> Iterator[Row]:
    found = tables.sweep("momentum-adamw")
    yield Row(
        "momentum-adamw", "Under AdamW .99-.90 beats .95-.85", "3.084 beside 3.095 and 3.130, one run each",
        compared(found), holds(found, "0.99-0.9", "0.95-0.85"),
    )  # fmt: skip
    yield Row(
        "momentum-adamw", "`moms=(0.99-0.90)`, a subtraction, trains with .09: .95-.85 beats it", "trained with, not compared",
        compared(found.only("0.95-0.85", "0.09")), holds(found, "0.95-0.85", "0.09"),
    )  # fmt: skip


def _decay_sgd() -> Iterator[Row]:
    found = tables.sweep("decay-sgd")
    yield Row(
        "decay-sgd", "A weight decay of 1e-4 beats others under large rates", "1e-4 92.4 %, 1e-5 88.3, 1e-6 87.3; 1e-3 diverged",
        compared(found), _each(found, "1e-4", "1e-5", "1e-6", "1e-3"),
    )  # fmt: skip


def _decay_adamw() -> Iterator[Row]:
    found = tables.sweep("decay-adamw")
    yield Row(
        "decay-adamw", "Two epochs of AdamW tell weight decays apart", "1e-4 chosen: 3.460 beside 3.438 (0) to 3.531, one run each",
        compared(found), _lost(found),
    )  # fmt: skip


def _lost(sweep: Sweep) -> str:
    """Which values are told apart from the best."""
    found = verdict_of(sweep).comparisons
    lost = [str(each.value) for each in found if each.verdict in LOST]
    out = [str(each.value) for each in found if each.verdict == Judgement.UNDECIDED and not each.candidate]
    said = f"{', '.join(lost)} told apart from the best" if lost else "none told apart"
    return f"{said}; not the best is {', '.join(out)}" if out else said


def _each(sweep: Sweep, better: str, *others: str) -> str:
    """What becomes of each published order of two."""
    return "; ".join(f"beats {other}: {holds(sweep, better, other)}" for other in others)


def _cycle_ends() -> Iterator[Row]:
    found = lines("cycle-ends")
    yield Row(
        "cycle-ends", "A peak lies between the ends of two cycles", "1.97 half-way: two wells",
        _peaks_told(found), _peak_read(found),
    )  # fmt: skip
    where = [float(line.alpha[np.nanargmin(line.valid)]) for line in found]
    inside = sum(0 < each < 1 for each in where)
    yield Row(
        "cycle-ends", "The lowest losses lie a little inside the two ends", "test losses, at α of .05 and .92",
        f"the lowest validation loss, statistics measured anew, lies at α = {_span(where)}", f"{OPEN}: inside in {inside} of {len(where)}",
    )  # fmt: skip
    beyond = [line.alpha[np.isnan(line.averaged)] for line in found]
    layers = [_below_0(line, number) for number, line in enumerate(found)]
    anew = sum(int(np.isnan(line.anew).sum()) for line in found)
    yield Row(
        "cycle-ends", "Beyond the ends losses are not a number", "AdamW's doing, says a notebook; these trained with SGD",
        f"averaged statistics: at {_span([len(each) for each in beyond], '.0f')} of {len(found[0].alpha)} α, where a layer's variances are below 0, "
        f"at the last α those of {_span(layers, '.0f')} layers; measured anew: at {anew or 'none'}",
        EXPLAINED if all(len(each) for each in beyond) and not anew else OPEN,
    )  # fmt: skip


def _below_0(line: Line, number: int) -> int:
    """How many layers have averaged variances below 0 somewhere on a line."""
    first, last = line.alpha[0], line.alpha[-1]
    layers = tables.rows(f"cycle-ends-{number}-negative_variance")
    found = [(tables.number(row["below"]), tables.number(row["above"])) for row in layers]
    return sum(below > first or above < last for below, above in found)


def _two_seeds() -> Iterator[Row]:
    found = lines("two-seeds")
    yield Row("two-seeds", "A peak lies between two seeds", UNPUBLISHED, _peaks_told(found), _peak_read(found))


def _peaks_told(found: Sequence[Line]) -> str:
    averaged, anew = peaks(found)
    return f"the training loss rises {_span(averaged)} above its chord, {_span(anew)} with BatchNorm's statistics measured anew"


def _peak_read(found: Sequence[Line]) -> str:
    """Whether there is a peak with BatchNorm's statistics measured anew, and how much of it was theirs, where the ends allow it."""
    averaged, anew = peaks(found)
    there = int(np.sum(anew > CONNECTED))
    read = f"{there} of {len(found)} rise by more than {CONNECTED} with statistics measured anew"
    ends = max(
        abs(line.anew[_at(line.alpha, end)] - line.averaged[_at(line.alpha, end)]) for line in found for end in (0, 1)
    )
    if ends > 0.2 * averaged.min():
        return f"{OPEN}: {read}; the two ways differ by up to {ends:.2g} at the ends already"
    return f"{CONFIRMED}: {read}; {EXPLAINED} make it {_span(averaged / anew, '.1f')} times as high"


def lines(name: str) -> list[Line]:
    """The three of an experiment."""
    return [tables.line(f"{name}-{number}") for number in range(3)]


def peaks(found: Sequence[Line]) -> tuple[Array, Array]:
    """The largest rise above the chord between two networks: statistics averaged, and measured anew."""
    inside = [(line.alpha >= 0) & (line.alpha <= 1) for line in found]
    averaged, anew = ([_rise(line.alpha[mask], losses[mask]) for line, mask, losses in zip(found, inside, which, strict=True)]
                      for which in ([line.averaged for line in found], [line.anew for line in found]))  # fmt: skip
    return np.array(averaged), np.array(anew)


def _rise(alpha: Array, losses: Array) -> float:
    return float(np.nanmax(losses - ((1 - alpha) * losses[0] + alpha * losses[-1])))


def _at(alpha: Array, where: float) -> int:
    return int(np.argmin(abs(alpha - where)))


def _span(numbers: Sequence[float] | Array, form: str = ".2g") -> str:
    low, high = format(min(numbers), form), format(max(numbers), form)
    return low if low == high else f"{low} to {high}"


def _short_runs() -> Iterator[Row]:
    long, short, begun = tables.sweep("short-runs-long"), tables.sweep("short-runs-short"), beginnings()
    by_short, by_begun = (agreement(each, long.losses) for each in (short.losses, begun))
    yield Row(
        "short-runs", "Short complete cycles rank learning rates better than the beginnings of long runs", "beginnings are read",
        f"rank correlation with long runs of other seeds: short cycles {_span(by_short)}, beginnings {_span(by_begun)}; lowest: "
        f"{chosen(short.values, short.losses)} and {chosen(long.values, begun)}, in long runs {chosen(long.values, long.losses)}",
        f"{OPEN}: {len(long.values)} values are too few",
    )  # fmt: skip


def _range_trained() -> Iterator[Row]:
    (fresh,), (again,) = (tables.ranges(*each).values() for each in (("range-fresh",), TRAINED))
    first, second = (_suggested(each) for each in (fresh, again))
    apart = ttest_ind(np.log(first), np.log(second), equal_var=False).confidence_interval()
    yield Row(
        "range-trained", "A range test of a trained network suggests less than of a fresh one", "1e-2, its curve begins at 3.91, chance is 4.61",
        f"begins at {_span(again.smoothed[:, 0], '.2f')}, fresh at {_span(fresh.smoothed[:, 0], '.2f')}, chance is {CHANCE:.2f}; suggests "
        f"{_span(second)}, fresh {_span(first)}", _sign(apart),
    )  # fmt: skip


def _suggested(test: Range) -> list[float]:
    found = [suggest(test.lr, raw, chance_loss=CHANCE).suggested_lr for raw in test.raw]
    return [each for each in found if each is not None]


def beginnings() -> Array:
    """[k, S] losses of the long runs after as many epochs as the short ones have."""
    epochs = len(next(iter(tables.curves("short-runs-short").values())).steps)
    return np.array([each.losses[:, epochs - 1] for each in tables.curves("short-runs-long").values()])


def agreement(losses: Array, truth: Array) -> Array:
    """Of each seed, the rank correlation of its losses with the other seeds' mean true ones."""
    seeds = range(losses.shape[1])
    others = [np.delete(truth, seed, axis=1).mean(axis=1) for seed in seeds]
    return np.array([spearmanr(losses[:, seed], others[seed]).statistic for seed in seeds])


def chosen(values: Sequence[str], losses: Array) -> str:
    """The value with the lowest mean."""
    return values[int(np.argmin(losses.mean(axis=1)))]


TRAINED = tuple(f"range-trained-{seed}" for seed in range(3))
ROWS: Mapping[str, Callable[[], Iterator[Row]]] = {
    "range-plain": _range_plain,
    "range-depth": _range_depth,
    "range-decay": _range_decay,
    "range-trained": _range_trained,
    "policies": _policies,
    "super-convergence": _super_convergence,
    "limited-data": _limited_data,
    "batch-sizes": _batch_sizes,
    "momentum-sgd": _momentum_sgd,
    "momentum-adamw": _momentum_adamw,
    "decay-sgd": _decay_sgd,
    "decay-adamw": _decay_adamw,
    "cycle-ends": _cycle_ends,
    "two-seeds": _two_seeds,
    "short-runs": _short_runs,
}
"""Config → its rows, for those that have been run."""


def compared(sweep: Sweep, names: Mapping[str, str] | None = None) -> str:
    """Every value's accuracy and hpcli's verdict on its loss among all of the sweep, the best first."""
    names = names or {each: each for each in sweep.values}
    accuracy = dict(zip(sweep.values, sweep.accuracies.mean(axis=1), strict=True))
    said = sorted(verdict_of(sweep).comparisons, key=lambda each: np.inf if each.mean is None else each.mean)
    return "; ".join(
        f"{names[str(each.value)]} {100 * accuracy[str(each.value)]:.1f} % ({_word(each)})"
        for each in said
        if str(each.value) in names
    )


def _word(each: Comparison) -> str:
    if each.difference is None or each.low is None or each.verdict == Judgement.BEST:
        return str(each.verdict)
    return f"{each.verdict}, {each.difference:+.2g} [{each.low:.2g}, {each.high:.2g}]"


def verdict_of(sweep: Sweep) -> Verdict:
    """Of hpcli on the losses of a sweep, as its first plan judges them."""
    return verdict(sweep.losses, sweep.values, chance=CHANCE, level=level_of(1))


def holds(sweep: Sweep, better: str, worse: str) -> str:
    """Whether a published order of two values is seen, and by how much: the verdict on these two."""
    found = verdict(*_pair(sweep, better, worse), chance=CHANCE).comparisons
    first, second = found
    if Judgement.BEST not in (first.verdict, second.verdict):
        return OPEN
    behind, sign = (second, 1) if first.verdict == Judgement.BEST else (first, -1)
    if behind.difference is None or behind.low is None or behind.high is None:  # it has diverged, say
        return (CONFIRMED if sign > 0 else AGAINST) if behind.verdict in LOST else OPEN
    low, high = sorted((sign * behind.low, sign * behind.high))
    read = _sign((low, high)) if behind.verdict != Judgement.EQUAL else "as good"
    return f"{read}, {sign * behind.difference:+.2g} [{low:.2g}, {high:.2g}]"


def _pair(sweep: Sweep, *names: str) -> tuple[Array, tuple[str, ...]]:
    return sweep.only(*names).losses, names
