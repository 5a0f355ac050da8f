"""`hpcli lr-find`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hpcli.cli.applying import check_apply
from hpcli.cli.command import Call, command
from hpcli.cli.options import Apply, Given, Strict
from hpcli.cli.session import Session
from hpcli.errors import DIVERGED, UsageError

KEYS = ("start_lr", "end_lr", "steps", "mode", "seeds", "valid")
Decays = Annotated[str | None, typer.Option(metavar="LIST", help="One value, or several to overlay: 1e-4,1e-2.")]
Momenta = Annotated[str | None, typer.Option(metavar="LIST", help="One value, or several to overlay: 0.9,0.95.")]


@command([*(f"lr_find.{key}" for key in KEYS), "init.weights"])
def lr_find(
    call: Call, weight_decay: Decays = None, momentum: Momenta = None, apply: Apply = None, strict: Strict = False
) -> int:
    """The learning-rate range test: short runs from a tiny to a huge learning rate, and what they say."""
    lists = {"optimizer.weight_decay": weight_decay, "schedule.momentum": momentum}
    session = call.session(_vary({key: text for key, text in lists.items() if text is not None}))
    _check_apply(session, apply)
    code = session.run()
    _apply(session, apply)
    session.go_on()
    return DIVERGED if strict and code == 0 and session.summary.get("refusal") else code


def _vary(lists: dict[str, str]) -> Given:
    """The keys that lists of values set: one value sets the key itself, several set `lr_find.values`."""
    from hpcli.config.spelling import split_values

    keys: Given = {}
    for key, text in lists.items():
        values = split_values(key, text)
        if len(values) == 1:
            keys[key] = values[0]
        elif "lr_find.values" in keys:
            raise UsageError("--weight-decay and --momentum: overlay one of them at a time; give the other one value")
        else:
            keys["lr_find.values"] = {key: values}
    return keys


def _check_apply(session: Session, apply: Path | None) -> None:
    """Refuse a file of another set-up: the learning rate is of the first value, where several are overlaid."""
    if apply is None:
        return
    from hpcli.config import with_overrides
    from hpcli.config.scope import Scope

    first = {key: values[0] for key, values in session.config.lr_find.values.items()}
    ran = with_overrides(session.config, first) if first else session.config
    check_apply(session, apply, ran, but={"data.steps_per_epoch"}, but_of=Scope.LENGTH | Scope.REPEAT)


def _apply(session: Session, file: Path | None) -> None:
    """Write the learning rate down."""
    from hpcli.results.lr_find import LRFindResult

    lr = session.result.suggested_lr if isinstance(session.result, LRFindResult) else None
    if file is not None and lr is not None:
        session.apply(file, "schedule.max_lr", lr)
