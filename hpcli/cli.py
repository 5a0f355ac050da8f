"""The command line: parse → call → save → show. No logic; the one place where errors end.

Nothing heavy is imported before a command runs, so that help and config errors come at once. A command returns its exit
code.
"""

from __future__ import annotations

import errno
import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hpcli.errors import HpcliError, UsageError

if TYPE_CHECKING:
    from hpcli.config import Config
    from hpcli.experiments.plan import Plan
    from hpcli.run_dir import RunDir

app = typer.Typer(
    name="hpcli",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Leslie N. Smith's disciplined method for setting hyper-parameters, as a command line.",
)

ConfigFile = Annotated[
    Path | None, typer.Option("-c", "--config", help="YAML config; without it, the digits that come with hpcli.")
]
Settings = Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Set a key; repeatable.")]
Out = Annotated[Path | None, typer.Option(help="The run folder itself; must not exist. Default: a new one in runs/.")]
Seed = Annotated[int | None, typer.Option(help="Governs initial weights, data order, augmentation and dropout.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:1.")]
Json = Annotated[bool, typer.Option("--json", help="The summary as one JSON object on stdout; all else on stderr.")]
Quiet = Annotated[bool, typer.Option("-q", "--quiet", help="Show errors and warnings only.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show the resolved plan; train nothing, write nothing.")]


@app.callback(invoke_without_command=True)
def hpcli(
    version: Annotated[bool, typer.Option("--version", help="Show the version and exit.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show a traceback for every error.")] = False,
) -> None:
    """Options of the whole program; `--debug` is read by `main`."""
    if version:
        from hpcli.version import __version__

        typer.echo(f"hpcli {__version__}")
        raise typer.Exit


@app.command("lr-find")
def lr_find(
    config: ConfigFile = None,
    settings: Settings = None,
    start_lr: Annotated[float | None, typer.Option(help="First learning rate.")] = None,
    end_lr: Annotated[float | None, typer.Option(help="Last learning rate.")] = None,
    steps: Annotated[int | None, typer.Option(help="Steps between them.")] = None,
    mode: Annotated[str | None, typer.Option(help="exp or linear.")] = None,
    out: Out = None,
    seed: Seed = None,
    device: Device = "auto",
    json: Json = False,
    quiet: Quiet = False,
    dry_run: DryRun = False,
) -> int:
    """The learning-rate range test: one short run from a tiny to a huge learning rate."""
    keys = {"start_lr": start_lr, "end_lr": end_lr, "steps": steps, "mode": mode}
    session = _Session("lr-find", config, settings, {"seed": seed, **_section("lr_find", keys)}, json, quiet)
    if dry_run:
        from hpcli.experiments.plan import plan_lr_find

        return session.show_plan(plan_lr_find)
    from hpcli import plots
    from hpcli.experiments.lr_find import lr_find as find

    with session.run_dir(out) as run:
        with session.terminal.progress("lr-find") as on_progress:
            result = find(run.config, store=run, on_progress=on_progress, device=device)
        run.figure("lr_find", plots.lr_find(result))
        return session.finish(run, result.status, result.summary)


@app.command()
def train(
    config: ConfigFile = None,
    settings: Settings = None,
    epochs: Annotated[int | None, typer.Option(help="Length of the run.")] = None,
    max_lr: Annotated[float | None, typer.Option(help="The highest learning rate.")] = None,
    momentum: Annotated[str | None, typer.Option(help="A pair such as 0.95-0.85, or one number.")] = None,
    weight_decay: Annotated[float | None, typer.Option(help="Weight decay.")] = None,
    resume: Annotated[Path | None, typer.Option(metavar="RUN_DIR", help="Go on with this run, bit for bit.")] = None,
    out: Out = None,
    seed: Seed = None,
    device: Device = "auto",
    json: Json = False,
    quiet: Quiet = False,
    dry_run: DryRun = False,
) -> int:
    """Train by the config's schedule, evaluating after every epoch."""
    schedule = _section("schedule", {"max_lr": max_lr, "momentum": momentum})
    keys = {"seed": seed, "train.epochs": epochs, "optimizer.weight_decay": weight_decay, **schedule}
    session = _Session("train", config, settings, keys, json, quiet)
    if dry_run:
        from hpcli.experiments.plan import plan_train

        return session.show_plan(plan_train)
    from hpcli import plots
    from hpcli.experiments.train import train as run_training
    from hpcli.training.trainer import Trainer

    with session.run_dir(out, resume) as run:
        if run.summary is not None:
            return session.show_finished(run.summary)
        trainer = Trainer(run.config, device=device)
        for name, figure in plots.before_training(trainer).items():
            run.figure(name, figure)
        with session.terminal.progress("train") as on_progress:
            result = run_training(run.config, store=run, on_progress=on_progress, trainer=trainer)
        run.figure("loss", plots.loss(result))
        run.figure("accuracy", plots.accuracy(result))
        run.weights(trainer.model.state_dict())
        return session.finish(run, result.status, result.summary)


@app.command()
def init(
    name: Annotated[str, typer.Argument(help="A config that comes with hpcli, such as digits.")],
    file: Annotated[Path | None, typer.Argument(help="Where to; default NAME.yaml.")] = None,
) -> int:
    """Copy a config that comes with hpcli, to edit."""
    from hpcli.config import shipped_config

    text = shipped_config(name).read_bytes()
    target = file or Path(f"{Path(name).name}.yaml")
    try:
        with target.open("xb") as output:
            output.write(text)
    except FileExistsError:
        raise UsageError(f"{target}: exists already; name another file: hpcli init {name} FILE") from None
    typer.echo(f"wrote {target}; try it: hpcli lr-find -c {target}")
    return 0


class _Session:
    """What every experiment's command does before and after the experiment."""

    def __init__(
        self,
        command: str,
        config_file: Path | None,
        settings: list[str] | None,
        keys: dict[str, Any],
        as_json: bool,
        quiet: bool,
    ) -> None:
        from hpcli.console import Terminal, show_warnings

        show_warnings()
        self.command = command
        self.terminal = Terminal(quiet=quiet, as_json=as_json)
        self.config_file = config_file
        self.overrides = {**_parsed(settings or []), **{key: value for key, value in keys.items() if value is not None}}

    def config(self) -> Config:
        """The config as the command line says."""
        from hpcli.config import load_config

        return load_config(self.config_file, self.overrides)

    def show_plan(self, plan: Callable[[Config], Plan]) -> int:
        """`--dry-run`."""
        self.terminal.table(f"{self.command} would run", plan(self.config()).facts)
        return 0

    def run_dir(self, out: Path | None, resume: Path | None = None) -> RunDir:
        """A new run folder, or the one to go on with."""
        from hpcli.config import load_config, with_overrides
        from hpcli.run_dir import RunDir

        if resume is None:
            return RunDir.create(self.command, self.config(), out)
        if out is not None:
            raise UsageError("--out and --resume: a resumed run goes on in its own folder; leave --out out")
        asked = self.config() if self.config_file else None
        if asked is None and self.overrides and (resume / "config.yaml").is_file():
            asked = with_overrides(load_config(resume / "config.yaml"), self.overrides)
        return RunDir.reopen(self.command, resume, asked)

    def finish(self, run: RunDir, status: str, summary: dict[str, Any]) -> int:
        """Write and show how it ended."""
        full = run.finish(status, summary)
        if status == "interrupted":
            resumable = self.command != "lr-find"
            advice = f"go on: hpcli {self.command} --resume {run.path}" if resumable else "start it again"
            self.terminal.note(f"stopped after step {run.step}; {advice}")
        else:
            self.terminal.summary(full, sorted(file.name for file in run.path.glob("*.png")))
        if status == "diverged":
            self.terminal.note(
                f"diverged at step {run.step}: lower schedule.max_lr (hpcli lr-find shows how far it can go), "
                "or set train.clip_norm: 1.0"
            )
        return run.exit_code

    def show_finished(self, summary: dict[str, Any]) -> int:
        """Nothing to resume: show what came out."""
        self.terminal.note(f"{summary['run_dir']}: finished already; nothing to do")
        self.terminal.summary(summary, [])
        return 0


def _section(section: str, keys: dict[str, Any]) -> dict[str, Any]:
    return {f"{section}.{key}": value for key, value in keys.items()}


def _parsed(settings: list[str]) -> dict[str, str]:
    pairs = {}
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not key or not equals:
            raise UsageError(f"--set {setting}: write KEY=VALUE, for example --set train.epochs=3")
        pairs[key.strip()] = value
    return pairs


def main(arguments: list[str] | None = None) -> int:
    """Run a command line and return its exit code; every error ends here."""
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        return int(app(arguments, prog_name="hpcli", standalone_mode=False) or 0)
    except (Exception, KeyboardInterrupt) as error:
        if "--debug" in arguments:
            traceback.print_exc()
        return _end(error)


_STORAGE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO)


def _end(error: BaseException) -> int:
    """Say what went wrong in one line, and return the exit code. A bug in hpcli gets its traceback."""
    if isinstance(error, BrokenPipeError):  # the reader of our output has gone; so has the output
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 0
    code, line = _explained(error)
    if code == 1:
        traceback.print_exception(error)
    if line:
        from hpcli.console import error_line

        error_line(line)
    return code


def _explained(error: BaseException) -> tuple[int, str]:
    if isinstance(error, HpcliError):
        return error.exit_code, str(error)
    if isinstance(error, KeyboardInterrupt | typer.Abort):
        return 130, "stopped"
    usage = getattr(error, "format_message", None)  # typer's usage errors, whose classes it keeps to itself
    if usage is not None:
        return 2, f"{usage()} See hpcli --help." if usage() else ""
    if isinstance(error, OSError) and error.errno in _STORAGE:
        return 7, f"{error.filename or 'output'}: {error.strerror}; free some space or choose another --out"
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError" or "can't allocate" in str(error):
        return 5, "out of memory; lower data.batch_size or data.eval_batch_size"
    return 1, "this is a bug in hpcli, not in what you did; please report it with the traceback above"


if __name__ == "__main__":
    sys.exit(main())
