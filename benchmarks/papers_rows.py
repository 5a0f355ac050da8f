"""What was published beside what came out here: the rows of docs/papers.md's table, from the tables that are kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import papers_tables as tables
from papers_tables import Array, Line, Range, Sweep
from scipy.stats import spearmanr, ttest_1samp, ttest_ind

from hpcli import suggest, verdict
from hpcli.analysis.verdict import Comparison, Verdict
from hpcli.states import Judgement

CHANCE = float(np.log(10))
CONFIRMED, OPEN, AGAINST = "confirmed", "not told apart", "the other way round"
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
            yield from rows_of()


def _range_depth() -> Iterator[Row]:
    found = tables.ranges("range-depth")
    yield Row(
        "range-depth", "No residual network breaks in a linear range test to 3", "ResNet-56 not, its accuracy stays at .7 to .8",
        _told(found), AGAINST if all(_breaks(each).max() < each.lr[-1] for each in found.values())
        else CONFIRMED if all(_breaks(each).min() == each.lr[-1] for each in found.values()) else OPEN,
    )  # fmt: skip


def _range_plain() -> Iterator[Row]:
    found = tables.ranges("range-plain")
    yield Row(
        "range-plain", "A plain network breaks before a residual one", "usable up to .01, and up to 3",
        _told(found), earlier(found["shallow3"], found["resnet20"]),
    )  # fmt: skip


def _range_decay() -> Iterator[Row]:
    found = tables.ranges("range-decay")
    first, *_, last = found.values()
    yield Row(
        "range-decay", "The larger the weight decay, the earlier the break", "4e-3: at .0083; 1e-2: at .0052",
        _told(found), earlier(last, first),
    )  # fmt: skip


def _breaks(test: Range) -> Array:
    """[S] learning rates at which each seed's loss breaks; where it does not, the last one."""
    places = [suggest(test.lr, raw, chance_loss=CHANCE).blow_up_lr for raw in test.raw]
    return np.array([test.lr[-1] if each is None else each for each in places])


def _told(tests: Mapping[str, Range]) -> str:
    """Where each value's seeds break, and how low its loss gets before."""
    said = []
    for name, test in tests.items():
        breaks, lowest = _breaks(test), float(np.nanmin(np.median(test.smoothed, axis=0)))
        whole = int(np.sum(breaks == test.lr[-1]))
        where = f"breaks at {_span(breaks[breaks < test.lr[-1]])}" if whole < len(breaks) else "does not break"
        kept = f", {whole} of {len(breaks)} seeds do not" if 0 < whole < len(breaks) else ""
        said.append(f"{name} {where}{kept} (lowest loss {lowest:.2f})")
    return "; ".join(said)


def earlier(first: Range, second: Range) -> str:
    """Whether the first breaks at smaller learning rates than the second: Welch's t of their logarithms, 95 %."""
    return _sign(ttest_ind(*(np.log(_breaks(each)) for each in (second, first)), equal_var=False).confidence_interval())


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
    whole = {"one_cycle & 120": "1cycle", "piecewise & 120": "piecewise"}
    half = {"one_cycle & 60": "1cycle, half the steps", "piecewise & 120": "piecewise"}
    found = tables.sweep("super-convergence")
    for names, steps, published in (
        (whole, "equally many", "–"),
        (half, "half", "92.4 % in an eighth of the steps; 91.2"),
    ):
        yield Row(
            "super-convergence", f"1cycle in {steps} steps beats a piecewise-constant rate", published, compared(found, names),
            holds(found, *names),
        )  # fmt: skip
    found = tables.sweep("super-convergence-h100")
    names = {"one_cycle & 45": "1cycle", "one_cycle & 23": "1cycle, half the steps", "piecewise & 45": "piecewise"}
    yield Row(
        "super-convergence", "The same by ResNet-56 at 32×32, four epochs on an H100: 1cycle in equally many steps", "–",
        compared(found, names), holds(found, "one_cycle & 45", "piecewise & 45"),
    )  # fmt: skip


def _limited_data() -> Iterator[Row]:
    found, shares = tables.sweep("limited-data"), ("0.02", "0.05", "0.2")
    gaps = {share: _gains(found, share) for share in shares}
    yield Row(
        "limited-data", "1cycle's gain is the larger, the fewer the images", "2 points of accuracy with 40,000, 9 with 10,000",
        "; ".join(f"{int(45_000 * float(share)):,} images: {_points(gaps[share])} points" for share in shares),
        _sign(ttest_1samp(gaps["0.02"] - gaps["0.2"], 0).confidence_interval()),
    )  # fmt: skip


def _gains(sweep: Sweep, share: str) -> Array:
    """[S] how much higher 1cycle's accuracy is with a share of the images, in points."""
    cycle, piecewise = (sweep.only(f"{name} & {share}").accuracies[0] for name in ("one_cycle", "piecewise"))
    return 100 * (cycle - piecewise)


def _points(gains: Array) -> str:
    low, high = ttest_1samp(gains, 0).confidence_interval()
    return f"{gains.mean():+.1f} [{low:+.1f}, {high:+.1f}]"


def _batch_sizes() -> Iterator[Row]:
    found = tables.sweep("batch-sizes")
    yield Row(
        "batch-sizes", f"Of equally many images, batches of {found.values[-1]} beat those of {found.values[0]}",
        "in equal time, the larger the higher the accuracy", compared(found), holds(found, found.values[-1], found.values[0]),
    )  # fmt: skip


def _momentum_sgd() -> Iterator[Row]:
    found = tables.sweep("momentum-sgd")
    yield Row(
        "momentum-sgd", "A momentum of .95-.85 beats constants", ".95-.85 81.3 %, .95 81.2, .9 80.2, .85 79.5",
        compared(found), _each(found, "0.95-0.85", "0.95", "0.9", "0.85"),
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
    small, large = found.only("0", "1e-5", "1e-4", "1e-3"), found.only("1e-3", "0.01", "0.1", "1")
    yield Row(
        "decay-adamw", "In two epochs of AdamW, decays up to 1e-3 can be told apart", "1e-4 chosen: 3.460 beside 3.438 to 3.531, one run each",
        compared(small), _lost(small),
    )  # fmt: skip
    yield Row("decay-adamw", "Decays up to 1 can", "–", compared(large), _lost(large))


def _lost(sweep: Sweep) -> str:
    """Which values are told apart from the best."""
    lost = [str(each.value) for each in verdict_of(sweep).comparisons if each.verdict in LOST]
    return f"{', '.join(lost)} told apart from the best" if lost else "none told apart"


def _each(sweep: Sweep, better: str, *others: str) -> str:
    """What becomes of each published order of two."""
    return "; ".join(f"beats {other}: {holds(sweep, better, other)}" for other in others)


def _cycle_ends() -> Iterator[Row]:
    found = lines("cycle-ends")
    yield Row(
        "cycle-ends", "A peak lies between the ends of two cycles", "1.97 half-way: two wells",
        _peaks_told(found), _peak_read(found),
    )  # fmt: skip
    middle = np.array([[float(line.valid[_at(line.alpha, alpha)]) for line in found] for alpha in (0.0, 0.5, 1.0)])
    losses = Sweep(("first end", "middle", "last end"), middle, np.full_like(middle, np.nan))
    yield Row(
        "cycle-ends", "The network half-way between two cycles' ends beats the last one", "the lowest losses lie inside the ends",
        "; ".join(f"{each.value} {each.mean:.3g} ({_word(each)})" for each in verdict_of(losses).comparisons),
        holds(losses, "middle", "last end"),
    )  # fmt: skip
    beyond = [line.alpha[np.isnan(line.averaged)] for line in found]
    layers = [len(tables.rows(f"cycle-ends-{number}-negative_variance")) for number in range(len(found))]
    anew = sum(int(np.isnan(line.anew).sum()) for line in found)
    yield Row(
        "cycle-ends", "Beyond the ends losses are not a number", "AdamW's doing, says a notebook; these trained with SGD",
        f"averaged statistics: at {_span([len(each) for each in beyond], '.0f')} of {len(found[0].alpha)} α, where variances of "
        f"{_span(layers, '.0f')} layers are below 0; measured anew: at {anew or 'none'}",
        EXPLAINED if all(len(each) for each in beyond) and not anew else OPEN,
    )  # fmt: skip


def _two_seeds() -> Iterator[Row]:
    found = lines("two-seeds")
    yield Row("two-seeds", "A peak lies between two seeds", "–", _peaks_told(found), _peak_read(found))


def _peaks_told(found: Sequence[Line]) -> str:
    averaged, anew = peaks(found)
    return f"the training loss rises {_span(averaged)} above its chord, {_span(anew)} with BatchNorm's statistics measured anew"


def _peak_read(found: Sequence[Line]) -> str:
    """How much of a peak is BatchNorm's, and whether there is one without."""
    averaged, anew = peaks(found)
    share = 100 * (1 - anew / averaged)
    low, _ = ttest_1samp(anew, 0).confidence_interval()
    is_there = CONFIRMED if low > CONNECTED else f"{OPEN} from a rise of {CONNECTED}"
    return f"{EXPLAINED}: {_span(share, '.0f')} % of it; the rest {is_there}"


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
        f"rank correlation with long runs of other seeds: short cycles {_span(by_short)}, beginnings {_span(by_begun)}; chosen: "
        f"{chosen(short.values, short.losses)} and {chosen(long.values, begun)}, the best {chosen(long.values, long.losses)}",
        _sign(ttest_1samp(by_short - by_begun, 0).confidence_interval()) if np.ptp(by_short - by_begun) else OPEN,
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
    """Every value's accuracy and hpcli's verdict on its loss, the best first."""
    names = names or {each: each for each in sweep.values}
    own = sweep.only(*names)
    accuracy = dict(zip(names, own.accuracies.mean(axis=1), strict=True))
    said = sorted(verdict_of(own).comparisons, key=lambda each: np.inf if each.mean is None else each.mean)
    return "; ".join(
        f"{names[str(each.value)]} {100 * accuracy[str(each.value)]:.1f} % ({_word(each)})" for each in said
    )


def _word(each: Comparison) -> str:
    if each.difference is None or each.low is None or each.verdict == Judgement.BEST:
        return str(each.verdict)
    return f"{each.verdict}, {each.difference:+.2g} [{each.low:.2g}, {each.high:.2g}]"


def verdict_of(sweep: Sweep) -> Verdict:
    """Of hpcli, by its losses."""
    return verdict(sweep.losses, sweep.values, chance=CHANCE)


def holds(sweep: Sweep, better: str, worse: str) -> str:
    """Whether a published order of two values is seen."""
    by_value = {str(each.value): each.verdict for each in verdict_of(sweep.only(better, worse)).comparisons}
    if by_value[worse] in LOST and by_value[better] not in LOST:
        return CONFIRMED
    return AGAINST if by_value[better] in LOST and by_value[worse] not in LOST else OPEN
