"""`hpcli sweep`, and under a name of their own the sweeps of one key: `hpcli sweep-mom`, `hpcli sweep-wd`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hpcli.cli import completion
from hpcli.cli.applying import check_apply
from hpcli.cli.command import Call, command
from hpcli.cli.options import Apply, Given
from hpcli.cli.session import Session
from hpcli.commands import COMMANDS
from hpcli.errors import CheckpointError, UsageError
from hpcli.states import Judgement, RunStatus

if TYPE_CHECKING:
    from hpcli.config import Config
    from hpcli.config.varying import Setting
    from hpcli.results.sweep import SweepResult

MANY_SEEDS = 30
"""More are not advised."""
OWN = ("seeds", "epochs", "matters", "scale_lr", "refine", "until_decided", "max_seeds")
Varied = Annotated[
    list[str] | None,
    typer.Argument(metavar="KEY", help="What to vary: optimizer.eps", autocompletion=completion.keys),
]
Values = Annotated[list[str] | None, typer.Option(metavar="LIST", help="Its values: 1e-5,1e-4; a list a key.")]
Retune = Annotated[
    str | None,
    typer.Option(metavar="KEY[=LIST]", help="Give each value its own best of these: schedule.max_lr=3e-3,1e-2."),
]


@command((*(f"sweep.{key}" for key in OWN), "init.weights"), resumes=True)
def sweep(call: Call, keys: Varied = None, values: Values = None, retune: Retune = None, apply: Apply = None) -> int:
    """Compare values of a config key, or of two, by short runs of several seeds, and say which to use."""
    session = call.session(_vary(call, keys or [], values or []))
    session.config = session.config if retune is None else _retuned(session.config, retune)
    session.config = _with_grid(session.config, call.command)
    _check_apply(session, apply)
    code = session.run(again=True)
    _go_on(session, apply)
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
    from hpcli.config.varying import joined_values, split_values
    from hpcli.recording.folder import Folder

    own = COMMANDS[call.command].swept
    names = [full_key(key) for key in ([own, *keys] if own else keys)]
    if not lists and (own or not names):
        return {}  # what the config says
    if len(names) != len(lists):
        raise UsageError(_unmatched(names, len(lists)))
    vary = {key: split_values(key, text) for key, text in zip(names, lists, strict=True)}
    if call.shared.resume is None:
        return {"sweep.values": vary}
    before = Folder(call.shared.resume).config.sweep.values
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


def _retuned(config: Config, text: str) -> Config:
    """The config with what `--retune` says; without a list, a grid around the config's value.

    Raises:
        UsageError: no list, and the config's value is no positive number.
    """
    from hpcli.config import with_overrides
    from hpcli.config.keys import full_key
    from hpcli.config.scaling import half_decades
    from hpcli.config.varying import split_values, value_of

    name, _, listed = text.partition("=")
    key = full_key(name.strip())
    if listed:
        return with_overrides(config, {"sweep.retune": {key: split_values(key, listed)}})
    here = value_of(config, key)
    if isinstance(here, bool) or not isinstance(here, int | float) or here <= 0:
        raise UsageError(f"--retune {text}: give the values to try, --retune {key}=A,B,C")
    return with_overrides(config, {"sweep.retune": {key: half_decades(here)}})


def _check_apply(session: Session, apply: Path | None) -> None:
    """Refuse a file of another set-up."""
    if apply is not None:
        from hpcli.config.scope import Scope

        found, own = session.config.sweep, {"train.epochs", "train.checkpoint_epochs"}
        check_apply(session, apply, session.config, but={*found.values, *found.retune, *own}, but_of=Scope.REPEAT)


def _go_on(session: Session, apply: Path | None) -> None:
    """Write the choice down, and say how to find what matters, and how to go on."""
    from hpcli.results import sweep as results

    result = session.result
    if session.summary.get("status") == RunStatus.DIVERGED:
        session.say_next("hpcli lr-find")
    if not isinstance(result, results.SweepResult) or result.choice is None:
        return
    chosen = result.settings[result.choice.index]
    keys = {**dict(zip(result.keys, chosen.values, strict=True)), **chosen.also}
    if apply is not None:
        for key, value in keys.items():
            session.apply(apply, key, value)
    _say_more_seeds(session, result)
    _say_longer(session, result, chosen, keys)


def _say_more_seeds(session: Session, result: SweepResult) -> None:
    found, now = result.verdict, len(result.seeds)
    needed = None if found is None else found.seeds_for_matters
    undecided = found is not None and any(each.verdict == Judgement.UNDECIDED for each in found.comparisons)
    more = needed.low if needed else None
    if undecided and more is not None and now < more <= MANY_SEEDS:
        seconds = float(result.seconds.mean(1).sum()) * (more - now)
        session.terminal.note(
            f"a difference of {result.margin:.1g} takes {more} seeds at least, about {seconds:.0f} s: "
            f"hpcli {session.command} --resume {session.path} --seeds {more}"
        )


def _say_longer(session: Session, result: SweepResult, chosen: Setting, keys: Mapping[str, object]) -> None:
    """The run to go on with: training, or three weight decays at full length where the sweep's runs were shorter."""
    from hpcli.config.varying import written
    from hpcli.results.budgets import KEY
    from hpcli.results.horizon import longer

    epochs = result.config.sweep.epochs
    ahead = longer(chosen, result.data, session.config.train.epochs) if result.keys == (KEY,) else None
    if ahead is not None and ahead.on_all_images is not None:
        session.terminal.note(
            f"on all images theory carries the weight decay by the sum of learning rates, to {ahead.on_all_images:.2g} "
            "(2405.13698)"
        )
    if ahead is None or not ahead.brackets:
        session.say_next("hpcli train", keys)
        return
    session.terminal.note(
        f"found in cycles of {epochs} epoch{'s' * (epochs > 1)}, train takes {ahead.epochs}: on the same images a "
        "weight decay is copied as it is, or three are compared at full length"
    )
    listed = ",".join(written(float(f"{value:.2g}")) for value in ahead.brackets)
    session.say_next(f"hpcli sweep-wd --values {listed} --epochs {ahead.epochs} --seeds 3", chosen.also)
