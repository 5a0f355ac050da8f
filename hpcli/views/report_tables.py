"""The tables of a report: what a result says in numbers, in words that need no paper beside them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import numpy as np

from hpcli.results import Result
from hpcli.results.batch_size import BatchSizeResult
from hpcli.results.evaluate import EvaluateResult
from hpcli.results.facts import is_table, readable, shown_facts
from hpcli.results.interpolate import InterpolateResult
from hpcli.results.lr_find import LRFindResult
from hpcli.results.sweep import SweepResult
from hpcli.results.train import TrainResult
from hpcli.results.tune import TuneResult
from hpcli.states import BatchNorm
from hpcli.views.cells import one_line, share
from hpcli.views.report_cells import Table, number, of_facts
from hpcli.views.report_verdict import verdict_tables

BATCHNORM = {BatchNorm.RECOMPUTE: "measured anew", BatchNorm.INTERPOLATE: "averaged"}
PLACES = {"a": "A", "middle": "halfway", "b": "B"}


def main_tables(result: Result) -> list[Table]:
    """The tables that belong to the answer."""
    found = _MAIN.get(type(result))
    return [] if found is None else [table for table in found(result) if table.rows]


def detail_tables(result: Result) -> list[Table]:
    """Those that are looked up."""
    found = _DETAILS.get(type(result))
    more = [] if found is None else [table for table in found(result) if table.rows]
    facts = {name: value for name, value in shown_facts(result.summary()).items() if not is_table(value)}
    every = [(name.replace("_", " "), readable(name, value)) for name, value in facts.items() if name != "diagnosis"]
    return [*more, *([Table("Every number of the summary", (), tuple(every))] if every else [])]


def _trained(result: TrainResult) -> list[Table]:
    if result.valid_loss is None:
        return []
    judged = "validation" if result.reestimated is None else "validation, BatchNorm measured anew"
    rows = [(judged, *_score(*result.judged))]
    if result.test is not None:
        rows.append(("test", *_score(result.test.loss, result.test.accuracy, result.test.top5)))
    rows.append(("training, a sample", *_score(float(result.epochs["train_eval_loss"][-1]), None, None)))
    return [Table("After the last epoch", ("images", "loss (nats)", "accuracy", "top-5"), tuple(rows))]


def _score(loss: float | None, accuracy: float | None, top5: float | None) -> tuple[str, str, str]:
    return number(loss), share(accuracy), share(top5)


def _epochs(result: TrainResult) -> list[Table]:
    names = ("train_loss", "train_eval_loss", "valid_loss", "valid_accuracy", "lr", "momentum", "seconds")
    header = (
        "epoch",
        "loss of its batches",
        "training loss",
        "validation loss",
        "accuracy",
        "lr",
        "momentum",
        "seconds",
    )
    columns = [result.epochs[name] for name in names]
    rows = [
        (
            str(int(epoch) + 1),
            *(readable(name, float(column[place])) for name, column in zip(names, columns, strict=True)),
        )
        for place, epoch in enumerate(result.epochs["epoch"])
    ]
    norms = [(each.group.replace("_", " "), number(each.start), number(each.end)) for each in result.weight_norms]
    return [
        Table("Epoch by epoch", header, tuple(rows)),
        Table("Euclidean norm of the weights", ("group", "start", "end"), tuple(norms)),
    ]


def _found_lr(result: LRFindResult) -> list[Table]:
    named = [result.varied_name] if result.varied else []
    rows = []
    for value, found in result.by_value.items():
        numbers = (found.suggested_lr, found.low, found.high, found.blow_up_lr)
        rows.append((*([value] if result.varied else []), *(number(each, 2) for each in numbers)))
    note = (
        "The learning rate is the peak of a 1cycle schedule. Anything in the range will do; where the loss breaks, "
        "training diverges."
    )
    return [Table("Learning rates", (*named, "suggested", "lowest", "highest", "breaks at"), tuple(rows), note)]


def _by_seed(result: LRFindResult) -> list[Table]:
    rows = [
        (each.value, str(each.seed), number(each.suggestion.suggested_lr, 2), number(each.suggestion.blow_up_lr, 2))
        for each in result.curves
    ]
    rules = result.suggestion.rules if result.suggestion else {}
    return [
        Table("Seed by seed", ("value", "seed", "suggested", "breaks at"), tuple(rows)),
        Table(
            "What fastai's rules would say",
            ("rule", "learning rate"),
            tuple((k, number(v, 2)) for k, v in rules.items()),
        ),
    ]


def _sweep_runs(result: SweepResult) -> list[Table]:
    rows = [
        (
            each.value,
            str(each.seed),
            str(each.status),
            number(each.valid_loss),
            share(each.valid_accuracy),
            number(each.seconds, 3),
        )
        for each in (*result.trials, *result.tuning, *result.fresh_trials)
        if each.has_begun
    ]
    header = (" & ".join(result.keys), "seed", "status", "loss", "accuracy", "seconds")
    return [Table("Run by run", header, tuple(rows))]


def _swept(result: SweepResult) -> list[Table]:
    """The values compared, and of a sweep by points what it tells of each key."""
    lines = result.summary().get("keys")
    return [*verdict_tables(result), *([of_facts("What was found, key by key", lines)] if is_table(lines) else [])]


def _tuned(result: TuneResult) -> list[Table]:
    lines = result.summary().get("keys")
    return [of_facts("What was found, key by key", lines)] if is_table(lines) else []


def _tune_runs(result: TuneResult) -> list[Table]:
    rows = [
        (each.value, str(each.seed), str(each.status), number(each.valid_loss), share(each.valid_accuracy))
        for each in (*result.trials, *result.fresh)
        if each.has_begun
    ]
    ranges = [(each.parameter, number(each.low, 3), number(each.high, 3), each.why) for each in result.ranges]
    return [
        Table(f"Its runs ({' & '.join(result.keys)})", ("setting", "seed", "status", "loss", "accuracy"), tuple(rows)),
        Table("What the range test left", ("key", "from", "to", "why"), tuple(ranges)),
    ]


def _throughput(result: BatchSizeResult) -> list[Table]:
    rows = []
    for each in result.rows:
        milliseconds = None if each.step_seconds is None else 1000 * each.step_seconds
        numbers = (number(each.images_per_second), number(milliseconds, 3), number(each.memory_gib, 3))
        rows.append((str(each.batch_size), *numbers, "" if each.fits else "does not fit"))
    columns = ("batch size", "images a second", "ms a step", "GiB of the GPU", "")
    kept = [place for place in range(5) if place < 3 or any(row[place] for row in rows)]
    cut = tuple(tuple(row[place] for place in kept) for row in rows)
    return [Table("Speed of training", tuple(columns[place] for place in kept), cut)]


def _between(result: InterpolateResult) -> list[Table]:
    ends = result.summary().get("endpoints")
    if not isinstance(ends, Mapping):
        return []
    names = ("train_loss", "train_accuracy", "valid_loss", "valid_accuracy")
    rows = [
        (BATCHNORM[BatchNorm(mode)], PLACES.get(place, place), *(readable(name, each.get(name)) for name in names))
        for mode, places in ends.items()
        for place, each in places.items()
        if isinstance(each, Mapping)
    ]
    header = ("BatchNorm's statistics", "place", "training loss", "accuracy", "validation loss", "accuracy")
    return [Table("At the ends, and halfway", header, tuple(rows))]


def _scored(result: EvaluateResult) -> list[Table]:
    if result.score is None:
        return []
    row = (f"{result.score.images:,}", *_score(result.score.loss, result.score.accuracy, result.score.top5))
    return [Table("All images together", ("images", "loss (nats)", "accuracy", "top-5"), (row,))]


def _classes(result: EvaluateResult) -> list[Table]:
    ordered = sorted(result.scores, key=lambda each: np.inf if each.accuracy is None else each.accuracy)
    rows = [(one_line(e.class_), str(e.images), share(e.accuracy), one_line(e.mistaken_for or "")) for e in ordered]
    header = ("class", "images", "accuracy", "mistaken most for")
    return [Table("Class by class, the hardest first", header, tuple(rows))]


_Maker = Callable[..., Iterable[Table]]
_MAIN: Mapping[type, _Maker] = {
    TrainResult: _trained, LRFindResult: _found_lr, SweepResult: _swept, TuneResult: _tuned,
    BatchSizeResult: _throughput, InterpolateResult: _between, EvaluateResult: _scored,
}  # fmt: skip
_DETAILS: Mapping[type, _Maker] = {
    TrainResult: _epochs, LRFindResult: _by_seed, SweepResult: _sweep_runs, TuneResult: _tune_runs,
    EvaluateResult: _classes,
}  # fmt: skip
