"""What every experiment's command does before and after its experiment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpcli import catalog
from hpcli.errors import UsageError

if TYPE_CHECKING:
    from hpcli.data.dataset import Splits
    from hpcli.run_dir import RunDir
    from hpcli.training.trainer import Trainer


class Session:
    """What every experiment's command does before and after the experiment.

    The config is read at once, so that a fault in it is answered before anything heavy is imported.
    """

    def __init__(
        self,
        command: str,
        config_file: Path | None,
        overrides: Mapping[str, Any],
        *,
        as_json: bool,
        quiet: bool,
        out: Path | None,
        resume: Path | None = None,
        may_differ: Sequence[str] = (),
        allow_code: bool = False,
    ) -> None:
        from hpcli.config import load_config, with_overrides
        from hpcli.console import Terminal, show_warnings

        if resume is not None and out is not None:
            raise UsageError("--out and --resume: a resumed run goes on in its own folder; leave --out away")
        show_warnings()
        self.command, self.config_file, self.out, self.resume = command, config_file, out, resume
        self.may_differ = may_differ  # keys that a resumed run may change
        self.summary: dict[str, Any] = {}
        self.terminal = Terminal(quiet=quiet, as_json=as_json)
        if resume is not None and config_file is None:
            from hpcli.run_dir import folder_config

            self.config = with_overrides(folder_config(resume), overrides)
        else:
            self.config = load_config(config_file, overrides)
        if allow_code:
            catalog.allow_code(self.config.data.name, self.config.model.name)

    def show_plan(self, *about: Any) -> int:
        """`--dry-run`."""
        from hpcli.experiments.plan import PLANS

        self.terminal.table(f"{self.command} would run", PLANS[self.command](self.config, *about))
        return 0

    def run_dir(self) -> RunDir:
        """A new run folder, or the one to go on with."""
        from hpcli.run_dir import RunDir

        if self.resume is None:
            return RunDir.create(self.command, self.config, self.out)
        return RunDir.reopen(self.command, self.resume, self.config, may_differ=self.may_differ)

    def splits(self) -> Splits:
        """The data, whose decoding is shown."""
        from hpcli.data.dataset import load_splits

        with self.terminal.decoding() as on_decode:
            return load_splits(self.config, on_decode=on_decode)

    def trainer(self, run: RunDir, device: str) -> Trainer:
        """A trainer with its data."""
        from hpcli.training.trainer import Trainer

        return Trainer(run.config, device=device, splits=self.splits())

    def start_from(self, weights: Path | None, trainer: Trainer) -> None:
        """`--init`: put these weights into the trainer."""
        if weights is not None:
            from hpcli.run_dir import load_weights

            trainer.load_weights(load_weights(weights))

    def apply(self, file: Path, key: str, value: str) -> None:
        """`--apply`: write a value into a config file."""
        from hpcli.config import set_in_file

        set_in_file(file, key, value)
        self.terminal.note(f"wrote {key}: {value} into {file}")

    def say_next(self, command: str) -> None:
        """The command to go on with."""
        self.terminal.note(f"next: {command}{f' -c {self.config_file}' if self.config_file else ''}")

    def finish(self, run: RunDir, status: str, summary: dict[str, Any]) -> int:
        """Write and show how it ended."""
        full = self.summary = run.finish(status, summary)
        if status == "interrupted":
            resumable = self.command not in ("lr-find", "evaluate")
            advice = f"go on: hpcli {self.command} --resume {run.path}" if resumable else "start it again"
            self.terminal.note(f"stopped{'' if run.step is None else f' after step {run.step}'}; {advice}")
        else:
            self.terminal.summary(full, sorted(file.name for file in run.path.glob("*.png")))
        if status == "diverged":
            where = "diverged" if run.step is None else f"diverged at step {run.step}"
            self.terminal.note(
                f"{where}: lower schedule.max_lr (hpcli lr-find shows how far it can go), or set train.clip_norm: 1.0"
            )
        if full.get("failed"):
            self.terminal.note(
                f"{full['failed']} trials failed: their error.log in {run.path}/trials says why; "
                f"hpcli {self.command} --resume {run.path} trains them again"
            )
        return run.exit_code

    def show_finished(self, summary: dict[str, Any]) -> int:
        """Nothing to resume: show what came out."""
        self.terminal.note(f"{summary['run_dir']}: finished already; nothing to do")
        self.terminal.summary(summary, [])
        return 0


def overrides(settings: list[str] | None, keys: Mapping[str, object]) -> dict[str, object]:
    """The keys that the command line sets: by `--set KEY=VALUE`, or by options of their own, which win.

    Raises:
        UsageError: a setting that is not KEY=VALUE.
    """
    found: dict[str, object] = {}
    for setting in settings or []:
        key, equals, value = setting.partition("=")
        if not key or not equals:
            raise UsageError(f"--set {setting}: write KEY=VALUE, for example --set train.epochs=3")
        found[key.strip()] = value
    return found | {key: value for key, value in keys.items() if value is not None}
