"""`hpcli sweep`, and under a name of their own the sweeps of one key: `hpcli sweep-mom`, `hpcli sweep-wd`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hpcli.cli.command import Call, command
from hpcli.cli.options import Apply, Given
from hpcli.cli.session import Session
from hpcli.commands import COMMANDS
from hpcli.errors import CheckpointError, UsageError
from hpcli.states import Judgement

MANY_SEEDS = 30
"""More are not advised."""
KEYS = tuple(f"sweep.{key}" for key in ("seeds", "epochs", "matters", "refine", "until_decided", "max_seeds"))
Varied = Annotated[list[str] | None, typer.Argument(metavar="KEY", help="What to vary: optimizer.eps")]
Values = Annotated[list[str] | None, typer.Option(metavar="LIST", help="Its values: 1e-5,1e-4; a list a key.")]


@command((*KEYS, "init.weights"), resumes=True)
def sweep(call: Call, keys: Varied = None, values: Values = None, apply: Apply = None) -> int:
    """Compare values of a config key, or of two, by short runs of several seeds, and say which to use."""
    session = call.session(_vary(call, keys or [], values or []))
    about, swept = COMMANDS[call.command], session.config.sweep.values
    if not swept or (about.swept is not None and about.swept not in swept):
        raise UsageError(f"--values: none given; for example hpcli {call.command} {about.example or '--values A,B'}")
    code = session.run(again=True)
    _go_on(session, apply)
    return code


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
        raise UsageError(f"{len(names)} keys and {len(lists)} lists of values: write KEY --values LIST, once or twice")
    vary = {key: split_values(key, text) for key, text in zip(names, lists, strict=True)}
    if call.shared.resume is None:
        return {"sweep.values": vary}
    before = Folder(call.shared.resume).config.sweep.values
    if before and list(before) != names:
        raise CheckpointError(f"the sweep is of {' & '.join(before)}, not of {' & '.join(names)}; start a new one")
    return {"sweep.values": {key: joined_values(before.get(key, []), values) for key, values in vary.items()}}


def _go_on(session: Session, apply: Path | None) -> None:
    """Write the choice down, and say how to find what matters, and at what cost."""
    from hpcli.results.sweep import SweepResult

    result = session.result
    if not isinstance(result, SweepResult):
        return
    if apply is not None and result.choice is not None:
        for key, value in zip(result.keys, result.settings[result.choice.index].values, strict=True):
            session.apply(apply, key, value)
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
