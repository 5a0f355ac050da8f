"""What a report says of a run: the answer and the command that follows, tables, pictures, and all that made it."""

from __future__ import annotations

import re
import shlex
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from hpcli import plots
from hpcli.commands import COMMANDS
from hpcli.config import Config
from hpcli.config.code import code_in, resuming
from hpcli.config.keys import scope_of
from hpcli.config.scope import Scope
from hpcli.config.varying import value_of
from hpcli.errors import HpcliError
from hpcli.recording.failed_start import CONFIG, ERROR
from hpcli.results import Result
from hpcli.results.data import DataFacts
from hpcli.results.facts import diagnosis_lines, readable, time_text
from hpcli.results.following import Following, set_words
from hpcli.results.made_with import MadeWith
from hpcli.results.sweep import SweepResult
from hpcli.results.tune import TuneResult
from hpcli.results.tuning import RANGE_TEST
from hpcli.runs.differing import MAIN, value_text
from hpcli.runs.glance import Glance, glance
from hpcli.states import RunStatus
from hpcli.views.cells import facts_text
from hpcli.views.report_cells import Table
from hpcli.views.report_pictures import Picture, pictures
from hpcli.views.report_tables import detail_tables, main_tables
from hpcli.views.report_verdict import cost, limits, undecided

if TYPE_CHECKING:
    from hpcli.runs.run import Run

STANDING = {
    RunStatus.CREATED: "This run has been made, and has not begun.",
    RunStatus.RUNNING: "This run is going on.",
    RunStatus.INTERRUPTED: "This run was stopped before its end.",
    RunStatus.CRASHED: "This run has crashed: its files say that it runs, and no process does.",
    RunStatus.FAILED: "This run failed.",
    RunStatus.DIVERGED: "This run diverged: its loss stopped being a number.",
}
"""What is said of a run that has not ended well."""
BEFORE = ("schedule", "batch")
"""Pictures of what was known before the first step: they come after those of what came out."""
TITLES = {
    "lr-find": "Learning-rate range test",
    "train": "Training run",
    "sweep": "Sweep",
    "sweep-mom": "Sweep of the momentum",
    "sweep-wd": "Sweep of the weight decay",
    "tune": "Tuning",
    "batch-size": "Batch sizes",
    "interpolate": "Between two checkpoints",
    "evaluate": "Evaluation",
}


_SCHEDULE = ("schedule.name", "schedule.max_lr")
_LENGTH = {
    "train": (*_SCHEDULE, "train.epochs"),
    "tune": (*_SCHEDULE, "train.epochs"),
    "sweep": (*_SCHEDULE, "sweep.epochs"),
    "lr_find": ("lr_find.start_lr", "lr_find.end_lr", "lr_find.steps"),
}
"""Keys that say how long an experiment's steps go on, and at which learning rates; others take none."""
_SAME_IMAGES = "Of pixels and labels, in whatever order: another folder with the same sums holds the same images."
_DIRTY = "with changes that were not committed: the commit alone does not repeat it"


@dataclass(frozen=True)
class Part:
    """A run's part of the page. Texts are plain: the page escapes them."""

    name: str
    title: str
    about: str  # status, duration
    answer: str
    standing: str = ""  # of a run that has not ended well
    error: str = ""  # why it failed
    command: str = ""  # that made it
    following: str = ""  # a command line
    why: str = ""  # it follows
    by_config: bool = False  # it reads the run's config, which is on the page
    notes: tuple[str, ...] = ()  # what is to be known before it
    diagnosis: tuple[str, ...] = ()
    tables: tuple[Table, ...] = ()
    shown: tuple[Picture, ...] = ()
    undecided: tuple[str, ...] = ()  # what could not be told
    cost: tuple[str, str] = ("", "")  # what it would cost to tell it, and the command
    limits: str = ""  # what the answer holds for
    setup: tuple[tuple[str, str], ...] = ()
    details: tuple[Table, ...] = ()
    config: str = ""  # YAML
    steps: tuple[Part, ...] = ()  # runs of its own within it

    @property
    def every(self) -> tuple[Part, ...]:
        """It, and its steps."""
        return (self, *(each for step in self.steps for each in step.every))


def short_part(look: Glance) -> Part:
    """A run by what is seen of it at once: one of many, or one that cannot be read."""
    answer = str(look.fault or look.summary.get("sentence") or facts_text(look.facts) or "It has no results yet.")
    part = Part(
        look.name, _title(look), _about(look), answer, STANDING.get(look.status, ""), command=look.command or ""
    )
    if look.config is None:
        return part
    return replace(part, setup=_setup(look), config=(look.path / CONFIG).read_text("utf-8", "replace"))


def full_part(run: Run, look: Glance, prefix: str) -> Part:
    """A run with its tables and pictures.

    Args:
        run: it.
        look: at it, with the name that the page calls it by.
        prefix: of the ids of its pictures.
    """
    if look.fault or look.config is None:
        return short_part(look)
    part = replace(short_part(look), error=_error(run) if look.status == RunStatus.FAILED else "")
    try:
        part = _with_result(part, run, run.result, look.config, prefix)
        return replace(part, details=(*part.details, *_made(run)), steps=tuple(_steps(run, prefix)))
    except HpcliError as error:
        return replace(part, answer=str(error))


def _error(run: Run) -> str:
    """The last line of what a run said when it failed; empty: it has said nothing."""
    file = run.path / ERROR
    lines = file.read_text("utf-8", "replace").split("\n") if file.is_file() else []
    return next((line for line in reversed(lines) if line.strip()), "")


def _with_result(part: Part, run: Run, result: Result, config: Config, prefix: str) -> Part:
    summary, following = result.summary(), result.following
    answer = str(summary.get("sentence") or part.answer)
    part = part if following is None else _with_following(part, run.path, run.command, config, following)
    drawn = plots.figures(result) if _can_be_drawn(run) else {}
    drawn = dict(sorted(drawn.items(), key=lambda each: each[0] in BEFORE))
    return replace(
        part,
        answer=answer,
        diagnosis=tuple(diagnosis_lines(summary)),
        tables=tuple(main_tables(result)),
        shown=tuple(pictures(drawn, prefix=prefix, label=answer)),
        undecided=undecided(result) if isinstance(result, SweepResult) else (),
        cost=cost(result, run.command, run.path) if isinstance(result, SweepResult) else ("", ""),
        limits=limits(result) if isinstance(result, SweepResult) and result.choice is not None else "",
        details=tuple(detail_tables(result)),
    )


def _can_be_drawn(run: Run) -> bool:
    """Whether anything is known of what it ran on; a start that failed knows nothing."""
    return bool(DataFacts.from_rows(run).classes)


def _with_following(part: Part, path: Path, command: str, config: Config, following: Following) -> Part:
    line = following.line(path)
    takes = f" It would train for about {time_text(following.seconds)} on the machine of this run."
    return replace(
        part,
        following=line if following.of_run else line + _options(path, config, set_words(following.keys)),
        by_config=not following.of_run,
        why=following.why + (takes if following.seconds is not None else ""),
        notes=tuple(following.said(path, resuming(command, path, config))),
    )


def _options(path: Path, config: Config, words: Sequence[str]) -> str:
    """What makes a command work on the same thing as the run at a path."""
    code = ["--allow-code"] if code_in(config) else []
    return "".join(f" {shlex.quote(each)}" for each in ("-c", f"{path}/config.yaml", *words, *code))


def _title(look: Glance) -> str:
    title = TITLES.get(look.command or "", look.command or "A run")
    keys = [] if look.config is None or look.command != "sweep" else list(look.config.sweep.values)
    return f"{title} of {' & '.join(keys)}" if keys else title


def _about(look: Glance) -> str:
    took = f"took {time_text(look.seconds)}" if look.seconds is not None else ""
    seen = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(look.updated)) if look.updated else ""
    when = f"{'ended' if look.status.is_over else 'last seen'} {seen}" if seen else ""
    return " · ".join(filter(None, (f"hpcli {look.command}" if look.command else "", str(look.status), took, when)))


def _setup(look: Glance) -> tuple[tuple[str, str], ...]:
    """What ran: network, data, optimizer, schedule, and every key that is not the default."""
    config = look.config
    assert config is not None
    is_found = COMMANDS[look.command].swept if look.command in COMMANDS else None
    keys = [key for key in MAIN if key != is_found]
    length = _LENGTH.get(COMMANDS[look.command].module, ()) if look.command in COMMANDS else None
    if length is not None:
        keys = [*(key for key in keys if not scope_of(key) & Scope.LENGTH), *length]
    values = {key: _value(config, key) for key in keys}
    return tuple({**values, **{key: value_text(key, value) for key, value in look.differs.items()}}.items())


def _value(config: Config, key: str) -> str:
    return value_text(key, value_of(config, key))


def _made(run: Run) -> list[Table]:
    """What it ran on, and what ran it."""
    data = DataFacts.from_rows(run)
    parts = [(each.part, f"{each.images:,}", each.sha256 or "") for each in data.parts]
    made, about = run.rows(MadeWith), dict(run.environment)
    packages, argv = about.pop("packages", {}), about.pop("argv", [])
    if about.get("gpus") == []:
        about["gpus"] = "none"
    facts = [(name, readable(name, value)) for name, value in about.items() if value not in ([], {}, None)]
    facts += [(str(name), str(version)) for name, version in (packages.items() if isinstance(packages, dict) else ())]
    if str(about.get("commit", "")).endswith("-dirty"):
        facts = [(name, f"{text} ({_DIRTY})" if name == "commit" else text) for name, text in facts]
    if isinstance(argv, list) and argv:
        words = [re.sub(r"^.*/(?=hpcli$)", "", str(argv[0])), *map(str, argv[1:])]
        facts.insert(0, ("command line", shlex.join(words)))
    facts += [("computed with", str(each)) for each in made]
    tables = [
        Table("The images", ("part", "images", "SHA-256"), tuple(parts), _SAME_IMAGES),
        Table("Command line, versions, hardware", (), tuple(facts)),
    ]
    return [each for each in tables if each.rows]


def _steps(run: Run, prefix: str) -> list[Part]:
    """The runs that a tuning is made of, but for the short ones."""
    if not isinstance(run.result, TuneResult):
        return []
    found = []
    for place, name in enumerate((RANGE_TEST, run.result.trained_in)):
        step = run.find_step(name)
        if step is not None:
            found.append(full_part(step, glance(step.path, f"{run.path.name}/{name}"), f"{prefix}s{place}"))
    return found
