"""`hpcli lr-find`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hpcli.cli.options import AllowCode, ConfigFile, Device, DryRun, Json, Out, Quiet, Seed, Settings, Start, Values
from hpcli.cli.session import Session, overrides
from hpcli.errors import DIVERGED, UsageError


def lr_find(
    config: ConfigFile = None,
    settings: Settings = None,
    start_lr: Annotated[float | None, typer.Option(help="First learning rate.")] = None,
    end_lr: Annotated[float | None, typer.Option(help="Last learning rate.")] = None,
    steps: Annotated[int | None, typer.Option(help="Steps between them.")] = None,
    mode: Annotated[str | None, typer.Option(help="exp or linear.")] = None,
    weight_decay: Values = None,
    momentum: Values = None,
    seeds: Annotated[int | None, typer.Option(help="Number of tests, each from its own initial weights.")] = None,
    valid: Annotated[
        bool, typer.Option("--valid", help="Validation loss along the way; three times the cost.")
    ] = False,
    start: Start = None,
    apply: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the learning rate into this config.")
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="A refusal ends with exit code 6.")] = False,
    out: Out = None,
    seed: Seed = None,
    device: Device = "auto",
    json: Json = False,
    quiet: Quiet = False,
    dry_run: DryRun = False,
    allow_code: AllowCode = False,
) -> int:
    """The learning-rate range test: short runs from a tiny to a huge learning rate, and what they say."""
    values = {"start_lr": start_lr, "end_lr": end_lr, "steps": steps, "mode": mode, "seeds": seeds}
    keys = {"seed": seed, "lr_find.valid": valid or None, **{f"lr_find.{key}": value for key, value in values.items()}}
    given = overrides(settings, keys)
    session = Session("lr-find", config, given, as_json=json, quiet=quiet, out=out, allow_code=allow_code)
    vary = _varied(session, {"weight_decay": weight_decay, "momentum": momentum})
    if dry_run:
        return session.show_plan()
    code = _run(session, vary, start, device, apply)
    return DIVERGED if strict and code == 0 and session.summary["refused"] else code


def _run(session: Session, vary: dict[str, list[str]], start: Path | None, device: str, apply: Path | None) -> int:
    from hpcli import plots
    from hpcli.experiments.lr_find import lr_find as find

    with session.run_dir() as run:
        trainer = session.trainer(run, device)
        session.start_from(start, trainer)
        with session.terminal.progress("lr-find") as on_progress:
            result = find(run.config, vary=vary, store=run, on_progress=on_progress, trainer=trainer)
        run.figure("lr_find", plots.lr_find(result))
        code = session.finish(run, result.status, result.summary)
    suggested = result.suggestion.suggested_lr
    if apply is not None and suggested is not None:
        session.apply(apply, "schedule.max_lr", f"{suggested:.2g}")
    values = [result.suggestion.low, suggested, result.suggestion.high]
    if suggested is not None:
        listed = ",".join(dict.fromkeys(f"{value:.2g}" for value in values if value is not None))
        session.say_next(f"hpcli sweep schedule.max_lr --values {listed}")
    return code


def _varied(session: Session, lists: dict[str, str | None]) -> dict[str, list[str]]:
    """The one list of several values, checked; a single value goes into the config."""
    from hpcli.config import with_overrides
    from hpcli.experiments.varied import VARIED

    vary: dict[str, list[str]] = {}
    for name, text in lists.items():
        values = [value.strip() for value in text.split(",")] if text is not None else []
        checked = [with_overrides(session.config, {VARIED[name]: value}) for value in values]
        if len(values) == 1:
            session.config = checked[0]
        elif values:
            vary[name] = values
    if len(vary) > 1:
        raise UsageError("--weight-decay and --momentum: overlay one of them at a time; give the other one value")
    return vary
