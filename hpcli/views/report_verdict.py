"""The verdict of a sweep in a report: what can be told apart, what cannot, and what it would cost."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path

from hpcli.results.after_sweep import MANY_SEEDS, more_seeds
from hpcli.results.facts import Facts, is_table, shown_facts
from hpcli.results.sweep import SweepResult
from hpcli.states import Judgement
from hpcli.views.cells import share, time_text
from hpcli.views.report_cells import Table, number

JUDGED = {
    Judgement.BEST: "the lowest mean",
    Judgement.EQUAL: "as good",
    Judgement.UNDECIDED: "undecided: not told apart",
    Judgement.AT_CHANCE: "has learnt nothing",
    Judgement.MISSING: "a run is missing",
    Judgement.CANNOT_TELL: "one seed: cannot tell",
}
"""What is judged of a value, for who has read nothing else of hpcli's; other words say it themselves."""
NOT_THE_BEST = "not the best, by how much is undecided"
"""Of a value that is undecided, and surely not the best."""


def verdict_tables(result: SweepResult) -> list[Table]:
    """The values, the lowest mean loss first, and how to read what is judged of them."""
    found, lines = result.verdict, result.summary().get("ranking")
    if found is None or not is_table(lines):
        return []
    header = ["value", "judgement", "above the lowest", "mean loss", "accuracy", "seconds a run"]
    chosen = result.settings[result.choice.index].plain if result.choice else None
    rows = [_row(line, is_chosen=result.choice is not None and line["value"] == chosen) for line in lines]
    if all(isinstance(line.get("decay_budget"), float) for line in lines):
        header.append("weights shrink by")
        rows = [(*row, share(line["decay_budget"], 2)) for row, line in zip(rows, lines, strict=True)]
    return [Table("What can be told apart", tuple(header), tuple(rows), " ".join(_how_to_read(result)))]


def _row(line: Facts, *, is_chosen: bool) -> tuple[str, ...]:
    ranked = shown_facts({"ranking": [line]})["ranking"]
    assert is_table(ranked)
    verdict = Judgement(str(line["verdict"]))
    is_open = line["candidate"] or verdict != Judgement.UNDECIDED
    words = JUDGED.get(verdict, str(verdict)) if is_open else NOT_THE_BEST
    return (
        str(ranked[0]["value"]),
        f"{words}{', far noisier than the others' if line['unstable'] else ''}{'; use this' if is_chosen else ''}",
        str(ranked[0]["above the best"]) or ("0" if verdict == Judgement.BEST else "–"),
        number(line["mean_valid_loss"]),
        share(line["mean_valid_accuracy"]),
        number(line["mean_seconds"], 3),
    )


def _how_to_read(result: SweepResult) -> Iterator[str]:
    """How the table is read, and how small a difference such a sweep finds."""
    found, seeds = result.verdict, int(result.complete.sum())
    assert found is not None
    yield (
        f"Mean validation losses (nats) of {seeds} seed{'s' * (seeds != 1)}. In brackets: how far above the lowest "
        f"mean a value may lie; all these intervals hold together {100 * (1 - result.level):.3g} % of the time. "
        "One that begins above 0 is worse."
    )
    if found.noise_sd is not None:
        wild = [str(each.value) for each in found.comparisons if each.unstable]
        but = f", those of {' and '.join(wild)} by far more" if wild else ""
        yield f"From seed to seed runs of one value differ by about {found.noise_sd:.2g} (a standard deviation){but}."
    if found.resolution is not None:
        yield f"Between values of that noise a difference of {found.resolution:.2g} is found four times of five."
    if found.margin is not None:
        share_of = f"{100 * result.config.sweep.matters:.2g} % of the lowest mean, the key sweep.matters"
        yield f"A difference below {found.margin:.2g} is taken not to matter ({share_of})."
    if result.choice is not None and result.choice.extend:
        yield "The value to use lies at the edge of what was tried: a better one may lie beyond."
    elif result.choice is not None and len(result.settings) > 2:
        yield "The value to use does not lie at an edge of what was tried."


def undecided(result: SweepResult) -> tuple[str, ...]:
    """The values that are not told apart from the lowest mean, in words."""
    if result.verdict is None:
        return ()
    return tuple(
        f"{each.value} against {result.verdict.best}: anything from {-each.low:.2g} better to {each.high:.2g} worse."
        for each in result.verdict.comparisons
        if each.verdict == Judgement.UNDECIDED and each.low is not None and each.high is not None
    )


def limits(result: SweepResult) -> str:
    """What the verdict holds for, and what it says nothing of."""
    epochs = result.config.sweep.epochs
    trained, judged = result.data.num_train_images, sum(each.valid_images for each in result.data.classes)
    return (
        f"Cycles of {epochs} epoch{'s' * (epochs > 1)} of {result.config.model.name} on these {trained:,} training "
        f"images, judged on {judged:,} validation images that all runs share; test images were not looked at. Longer "
        "trainings, other networks and other images may put the values in another order: compare a few of them there."
    )


def cost(result: SweepResult, command: str, path: Path) -> tuple[str, str]:
    """What it would take to tell more, and the command for it; empty: nothing is undecided, or it is not known.

    Args:
        result: of the sweep.
        command: that made it.
        path: of its folder.
    """
    more = more_seeds(result)
    if more is None:
        return "", ""
    says = f"To find a difference of {more.margin:.2g}, which is what matters, takes {more.needed} seeds of each value"
    says = f"{says}; there are {more.now}."
    if more.least is None:
        return says, ""
    seconds = time_text(more.seconds * (more.least - more.now))
    if more.least > MANY_SEEDS:
        return f"{says} {more.least} would take about {seconds} of training more.", ""
    words = ("hpcli", command, "--resume", str(path), "--seeds", str(more.least))
    return f"{says} With {more.least}, about {seconds} of training more:", shlex.join(words)
