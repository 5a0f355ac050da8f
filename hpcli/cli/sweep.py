"""`hpcli sweep`, and under a name of their own the sweeps of one key: `hpcli sweep-mom`, `hpcli sweep-wd`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hpcli.cli import completion
from hpcli.cli.applying import check_apply
from hpcli.cli.command import Call, command
from hpcli.cli.options import Apply, Given
from hpcli.cli.session import Session
from hpcli.cli.worker import work
from hpcli.commands import COMMANDS
from hpcli.errors import CheckpointError, UsageError

if TYPE_CHECKING:
    from hpcli.config import Config

OWN = (
    "points", "seeds", "epochs", "matters", "scale_lr", "refine", "until_decided", "max_seeds", "workers", "launcher",
)  # fmt: skip
Varied = Annotated[
    list[str] | None,
    typer.Argument(metavar="KEY", help="What to vary: optimizer.eps", autocompletion=completion.keys),
]
Values = Annotated[list[str] | None, typer.Option(metavar="LIST", help="Its values: 1e-5,1e-4; a list a key.")]
Retune = Annotated[
    str | None,
    typer.Option(metavar="KEY[=LIST]", help="Give each value its own best of these: schedule.max_lr=3e-3,1e-2."),
]
Worker = Annotated[
    bool, typer.Option("--worker", help="With --resume: train trials of that sweep, which another process drives.")
]


@command((*(f"sweep.{key}" for key in OWN), "init.weights"), resumes=True)
def sweep(
    call: Call,
    keys: Varied = None,
    values: Values = None,
    retune: Retune = None,
    apply: Apply = None,
    worker: Worker = False,
) -> int:
    """Compare values of a config key, or of several, by short runs of several seeds, and say which to use."""
    if worker:
        return work(call, {"KEY": keys, "--values": values, "--retune": retune, "--apply": apply})
    session = call.session(_vary(call, keys or [], values or []))
    session.config = session.config if retune is None else _retuned(session, retune)
    session.config = _with_grid(session.config, call.command)
    _check_points(session)
    _check_apply(session, apply)
    _check_launcher(session.config)
    code = session.run(again=True)
    _apply(session, apply)
    _say_more_seeds(session)
    session.go_on()
    return code


def _with_grid(config: Config, command: str) -> Config:
    """The config with the values that its command tries where none are given.

    Raises:
        UsageError: there are none, or they are of other keys than the command's.
    """
    from hpcli.config import with_overrides
    from hpcli.config.grids import grid

    about, swept = COMMANDS[command], config.sweep.values
    if about.swept is not None and not swept:
        return with_overrides(config, {"sweep.values": {about.swept: grid(config, about.swept)}})
    if not swept:
        raise UsageError(f"--values: none given; for example hpcli {command} {about.example}")
    if about.swept is not None and about.swept not in swept:
        keys = " & ".join(swept)
        raise UsageError(f"sweep.values: the config's are of {keys}; hpcli sweep compares them, --values LIST others")
    return config


def _vary(call: Call, keys: list[str], lists: list[str]) -> Given:
    """The keys to sweep and their values. Values of a resumed sweep are kept, and new ones added."""
    from hpcli.config.keys import full_key
    from hpcli.config.spelling import joined_values, split_values
    from hpcli.recording.folder import Folder

    own = COMMANDS[call.command].swept
    names = [full_key(key) for key in ([own, *keys] if own else keys)]
    if not lists and (own or not names):
        return {}  # what the config says
    resume = call.shared.resume
    before = {} if resume is None else Folder(resume).config.sweep.values
    names = names or list(before)
    if len(names) != len(lists):
        raise UsageError(_unmatched(names, len(lists)))
    vary = {key: split_values(key, text) for key, text in zip(names, lists, strict=True)}
    if resume is None:
        return {"sweep.values": vary}
    if before and list(before) != names:
        raise CheckpointError(f"the sweep is of {' & '.join(before)}, not of {' & '.join(names)}; start a new one")
    return {"sweep.values": {key: joined_values(before.get(key, []), values) for key, values in vary.items()}}


def _unmatched(names: list[str], num_lists: int) -> str:
    """What is wrong where keys and lists of values do not go together."""
    if not names:
        return "--values: of which key? write KEY --values LIST"
    if num_lists > len(names):
        return (
            f"--values: given {num_lists} times, for {len(names)} key(s) ({', '.join(names)}); write KEY --values LIST"
        )
    return f"{names[num_lists]}: no values; write {names[num_lists]} --values LIST"


def _retuned(session: Session, text: str) -> Config:
    """The config with what `--retune` says, beside what a resumed sweep has tried; without a list, a grid.

    Raises:
        UsageError: no list, and the config's value is no positive number.
        CheckpointError: a sweep is gone on with that retunes something else, or nothing.
    """
    from hpcli.config import with_overrides
    from hpcli.config.keys import full_key
    from hpcli.config.scaling import half_decades
    from hpcli.config.spelling import joined_values, split_values
    from hpcli.config.varying import value_of

    config, resume = session.config, session.shared.resume
    name, _, listed = text.partition("=")
    key = full_key(name.strip())
    before = {key: []} if resume is None else config.sweep.retune
    if list(before) != [key]:
        raise CheckpointError(f"{resume}: retunes {' & '.join(before) or 'nothing'}, not {key}; start a new one")
    if listed:
        return with_overrides(config, {"sweep.retune": {key: joined_values(before[key], split_values(key, listed))}})
    here = value_of(config, key)
    if isinstance(here, bool) or not isinstance(here, int | float) or here <= 0:
        raise UsageError(f"--retune {text}: give the values to try, --retune {key}=A,B,C")
    return with_overrides(config, {"sweep.retune": {key: joined_values(before[key], half_decades(here))}})


def _check_points(session: Session) -> None:
    """Refuse ranges that no points can be in, before there is a run folder, and to move the points of a sweep.

    Raises:
        ConfigError: see `swept_space`.
        CheckpointError: a sweep is gone on with whose points would be others.
    """
    from hpcli.config.points import num_points, swept_space
    from hpcli.recording.folder import Folder

    def space(config: Config) -> object:
        """Where its points lie; None: it is a grid."""
        return swept_space(config) if num_points(config) else None

    own, resume = space(session.config), session.shared.resume
    before = None if resume is None else Folder(resume).config
    if before is not None and before.sweep.values and space(before) != own:
        is_grid = space(before) is None
        why = "it is a grid; points are" if is_grid else "between other values its points would be others; that is"
        raise CheckpointError(f"{resume}: {why} a sweep of its own: start a new one")


def _check_launcher(config: Config) -> None:
    """Refuse a launcher that is not installed, before there is a run folder."""
    if config.sweep.launcher == "ray" and config.sweep.workers:
        from hpcli.trials.ray_launcher import check_ray

        check_ray()


def _check_apply(session: Session, apply: Path | None) -> None:
    """Refuse a file of another set-up."""
    if apply is not None:
        from hpcli.config.scope import Scope

        found, own = session.config.sweep, {"train.epochs", "train.checkpoint_epochs"}
        check_apply(session, apply, session.config, but={*found.values, *found.retune, *own}, but_of=Scope.REPEAT)


def _apply(session: Session, file: Path | None) -> None:
    """Write the choice down, and what goes with it."""
    from hpcli.results.sweep import SweepResult

    if file is not None and isinstance(session.result, SweepResult):
        for key, value in session.result.chosen.items():
            session.apply(file, key, value)


def _say_more_seeds(session: Session) -> None:
    """Say what it would cost to tell apart what is undecided."""
    from hpcli.config.code import resuming
    from hpcli.results.after_sweep import more_seeds
    from hpcli.results.facts import time_text
    from hpcli.results.sweep import SweepResult

    more = more_seeds(session.result) if isinstance(session.result, SweepResult) else None
    if more is not None and more.is_advised and more.least is not None:
        assert session.path is not None
        again = resuming(session.command, session.path, session.config, "--seeds", str(more.least))
        takes = time_text(more.seconds * (more.least - more.now))
        session.terminal.note(
            f"a difference of {more.margin:.1g} takes {more.least} seeds at least, about {takes}: {again}"
        )
