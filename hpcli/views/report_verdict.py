"""The verdict of a sweep in a report: what can be told apart, what cannot, and what it would cost."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from hpcli.analysis.finding import listed
from hpcli.analysis.noise import spread_of_runs
from hpcli.catalog import ABOUT
from hpcli.config.code import resuming
from hpcli.config.varying import value_of
from hpcli.results.after_sweep import MANY_SEEDS, more_seeds
from hpcli.results.budgets import in_lines
from hpcli.results.facts import Facts, is_table, shown_facts, time_text
from hpcli.results.horizon import images_of
from hpcli.results.sweep import SweepResult
from hpcli.states import Judgement
from hpcli.views.cells import share
from hpcli.views.report_cells import Table, number

JUDGED = {
    Judgement.BEST: "the lowest mean",
    Judgement.EQUAL: "as good",
    Judgement.UNDECIDED: "not told apart from the lowest",
    Judgement.AT_CHANCE: "has learnt nothing",
    Judgement.MISSING: "a run is missing",
    Judgement.CANNOT_TELL: "one seed: cannot tell",
}
"""What is judged of a value, for who has read nothing else of hpcli's; other words say it themselves."""
SHARED = 1.5
"""Runs differ by so many times what pairing leaves of it before both are said."""
FEW_CLASSES = 10
"""More are not named."""
NOT_THE_BEST = "not the best, by how much is open"
"""Of a value that is undecided, and surely not the best."""


def verdict_tables(result: SweepResult) -> list[Table]:
    """The values, the lowest mean loss first, and how to read what is judged of them."""
    found, lines = result.verdict, result.summary().get("ranking")
    if found is None or not is_table(lines):
        return []
    header = ["value", "judgement", "above the lowest", "mean loss", "accuracy", "seconds a run"]
    use = {str(result.settings[result.choice.index].plain): "; use this"} if result.choice else {}
    here = tuple(value_of(result.config, key) for key in result.keys)
    own = {str(setting.plain): "; the config's own" for setting in result.settings if setting.values == here}
    rows = [_row(line, own.get(str(line["value"]), "") + use.get(str(line["value"]), "")) for line in lines]
    if all(isinstance(line.get("decay_budget"), float) for line in lines):
        header.append("decay alone takes")
        rows = [(*row, share(line["decay_budget"], 2)) for row, line in zip(rows, lines, strict=True)]
    return [Table("The values compared", tuple(header), tuple(rows), " ".join(_how_to_read(result)))]


def _row(line: Facts, more: str) -> tuple[str, ...]:
    ranked = shown_facts({"ranking": [line]})["ranking"]
    assert is_table(ranked)
    verdict = Judgement(str(line["verdict"]))
    is_open = line["candidate"] or verdict != Judgement.UNDECIDED
    words = JUDGED.get(verdict, str(verdict)) if is_open else NOT_THE_BEST
    return (
        str(ranked[0]["value"]),
        f"{words}{', far noisier than the others' if line['unstable'] else ''}{more}",
        str(ranked[0]["above the best"]) or ("0" if verdict == Judgement.BEST else "–"),
        number(line["mean_valid_loss"]),
        share(line["mean_valid_accuracy"]),
        number(line["mean_seconds"], 3),
    )


def _how_to_read(result: SweepResult) -> Iterator[str]:
    """How the table is read, and how small a difference such a sweep finds."""
    found = result.verdict
    assert found is not None
    yield (
        f"Means over {_seeds(result)} of validation losses (nats) after the last epoch; guessing among the classes "
        f"gives {result.data.chance_loss():.2f}. In brackets: where the true difference from the lowest mean lies, "
        "below 0 where a value may be better; all these ranges are right at once "
        f"{100 * (1 - result.level):.3g} % of the time. A value whose range lies above 0 is worse; “not the best” asks "
        "less, on which side of 0 it lies (Hsu, 1984)."
    )
    yield from _noise(result)
    if found.margin is not None:
        share_of = f"{100 * result.config.sweep.matters:.2g} % of the lowest mean, the key sweep.matters"
        yield f"A difference below {found.margin:.2g} is taken not to matter ({share_of})."
    if result.choice is not None and result.choice.extend:
        yield "The value to use lies at the edge of what was tried: a better one may lie beyond."
    elif result.choice is not None and len(result.settings) > 2 and result.fitted is None:
        yield "The value to use does not lie at an edge of what was tried."
    if result.budgets:
        yield "Decay alone takes that share of a weight in a whole run; where it hardly differs, the runs hardly can."
    seconds = [trial.seconds for trial in result.trials if trial.seconds is not None]
    yield f"In all {len(seconds)} runs, {time_text(sum(seconds))} of training."


def _seeds(result: SweepResult) -> str:
    """Which they are that all values have: seed 0, seeds 0, 1 and 2, or 12 seeds."""
    names = [str(seed) for seed, is_complete in zip(result.seeds, result.complete, strict=True) if is_complete]
    if len(names) > 5:
        return f"{len(names)} seeds ({names[0]} to {names[-1]})"
    return f"seed{'s' * (len(names) > 1)} {listed(names)}"


def _noise(result: SweepResult) -> Iterator[str]:
    """How much runs differ from seed to seed, what is left of it between values, and what is found in spite of it."""
    found = result.verdict
    if found is None or found.noise_sd is None:
        return
    wild = [str(each.value) for each in found.comparisons if each.unstable]
    but = f", runs of {listed(wild)} by far more" if wild else ""
    usual = [not each.unstable and each.difference is not None for each in found.comparisons]
    single = spread_of_runs(list(result.losses[:, result.complete][usual]))
    if single is not None and single > SHARED * found.noise_sd:
        yield (
            f"A run differs from one of another seed by about {single:.2g} (a standard deviation){but}; values are "
            f"compared on the same seeds, which leaves {found.noise_sd:.2g} of that."
        )
    else:
        yield f"Runs of one value differ from seed to seed by about {found.noise_sd:.2g} (a standard deviation){but}."
    if found.resolution is not None:
        yield f"A true difference of {found.resolution:.2g} between two values is found four times out of five."


def undecided(result: SweepResult) -> tuple[str, ...]:
    """The values that are not told apart from the lowest mean, and those that cannot be in so short runs, in words."""
    if result.verdict is None:
        return ()
    best = result.verdict.best
    found = []
    for each in result.verdict.comparisons:
        if each.verdict != Judgement.UNDECIDED or each.low is None or each.high is None:
            continue
        if each.candidate:
            found.append(f"{each.value} against {best}: anything from {-each.low:.2g} better to {each.high:.2g} worse.")
        else:
            found.append(f"{each.value} is not the best; it may be anything up to {each.high:.2g} worse than {best}.")
    decays = in_lines(result.keys, result.budgets, result.config.sweep.epochs)
    return (*found, *(f"{line}." for line in decays)) if found else ()


def limits(result: SweepResult) -> str:
    """What the verdict holds for, and what it says nothing of."""
    config, epochs = result.config, result.config.sweep.epochs
    trained = images_of(result.settings, result.data)
    judged = sum(each.valid_images for each in result.data.classes)
    fixed = {
        "optimizer.name": f"by {config.optimizer.name}",
        "schedule.max_lr": f"at max_lr {config.schedule.max_lr:.2g}",
        "data.batch_size": f"in batches of {config.data.batch_size}",
    }
    how = ", ".join(words for key, words in fixed.items() if key not in (*result.keys, *config.sweep.retune))
    network, images = (
        f"{name}, {ABOUT[name]}," if name in ABOUT else name for name in (config.model.name, config.data.name)
    )
    if config.data.name == "folder":
        images = f"the folder {config.data.root}"
    classes = [each.class_ for each in result.data.classes]
    named = f"{len(classes)} classes ({listed(classes)})" if len(classes) <= FEW_CLASSES else f"{len(classes)} classes"
    return (
        f"Cycles of {epochs} epoch{'s' * (epochs > 1)} of {network}{f' {how},' * bool(how)} on {trained} training "
        f"images of {images} in {named}, judged on {judged:,} validation images that all "
        "runs share; test images were not looked at. Longer trainings, other networks and other images may put the "
        "values in another order: compare a few of them there."
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
    needed = more.needed.beyond(more.now)
    matters = f"a difference of {more.margin:.2g}, which is what matters"
    says = f"There are {more.now} seeds of each value. To find {matters}, takes {needed}"
    if more.least is None:
        return f"{says}.", ""
    says = f"{says}: {more.least} would take about {time_text(more.seconds * (more.least - more.now))} of training more"
    if needed.high is not None and needed.high > more.least:
        says = f"{says}, and {needed.high} about {time_text(more.seconds * (needed.high - more.now))}"
    if more.least > MANY_SEEDS:
        return f"{says}.", ""
    return f"{says}.", resuming(command, path, result.config, "--seeds", str(more.least))
