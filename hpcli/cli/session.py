"""What every experiment's command does around its experiment: config, run folder, progress, pictures, how it ended."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

from hpcli.cli.options import Given, Options, Shared, assigned, repeated
from hpcli.commands import COMMANDS, result_class
from hpcli.errors import DIVERGED, UsageError
from hpcli.signals import Stopped
from hpcli.states import RunStatus

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from hpcli.config import Config
    from hpcli.data.dataset import Splits
    from hpcli.recording.disk import DiskRecorder
    from hpcli.recording.progress import OnProgress, Progress
    from hpcli.recording.recorder import MethodRecorder
    from hpcli.results import Result


class RunExperiment(Protocol):
    """An experiment as a session runs it."""

    def __call__(
        self, config: Config, *, recorder: MethodRecorder, on_progress: OnProgress, device: str, splits: Splits
    ) -> Result:
        """Config → result."""


class Session:
    """A command from its config to its exit code.

    The config is read at once, so that a fault in it is answered before anything heavy is imported.
    """

    def __init__(self, command: str, shared: Shared, keys: Given, options: Options, config_file: Path | None) -> None:
        from hpcli.cli.terminal import Terminal, show_warnings

        if shared.resume is not None and shared.out is not None:
            raise UsageError("--out and --resume: a resumed run goes on in its own folder; leave --out away")
        show_warnings()
        self.command, self.shared, self.options = command, shared, options
        self.given = {**assigned(shared.assignments), **keys}
        self.terminal = Terminal(quiet=shared.quiet, as_json=shared.as_json, verbose=shared.verbose)
        self.summary: Mapping[str, object] = {}
        self.result: Result | None = None  # of a run that is over: what to go on from
        self.path: Path | None = None  # of the run folder
        self._drawn: set[str] = set()  # names of the pictures that are in the folder
        self.config = self._pinned(self._read_config(config_file), options.checkpoints)

    def _read_config(self, file: Path | None) -> Config:
        from hpcli.config import load_config, with_overrides

        if self.shared.resume is not None and self.shared.config is None:
            from hpcli.recording.folder import Folder

            return with_overrides(Folder(self.shared.resume).config, self.given)
        return load_config(self.shared.config or file, self.given)

    def _pinned(self, config: Config, checkpoints: tuple[str, ...]) -> Config:
        """The config with the hash of every checkpoint that it names and this command loads; a new run's are read."""
        from hpcli.config import with_overrides
        from hpcli.config.varying import value_of
        from hpcli.runs.weights import pinned, reference

        named = {key: str(value) for key in checkpoints if (value := value_of(config, key)) is not None}
        is_new = self.shared.resume is None
        found = {key: pinned(text) for key, text in named.items() if is_new or reference(text).sha256 is None}
        return with_overrides(config, found) if found else config

    def run(
        self,
        experiment: RunExperiment | None = None,
        *,
        again: bool = False,
        early: Callable[[Result], Mapping[str, Figure]] | None = None,
        load: Callable[..., Splits] | None = None,
    ) -> int:
        """Run an experiment in its run folder, draw its pictures, show how it ended.

        Args:
            experiment: what to run; None: the function that the command is named by.
            again: a finished run is gone through again when it is resumed.
            early: pictures that can be drawn once the experiment has begun.
            load: `(config, on_decode=…)` → the images; None: as for training.

        Returns:
            The exit code.
        """
        from hpcli.cli.live import has_log, live
        from hpcli.cli.out import check_out
        from hpcli.config.code import check_code

        check_code(self.config, allowed=self.shared.allow_code)
        check_out(self.command, self.shared.out, resumes=self.options.resumes)
        logs = has_log(self.command, self.config)
        if self.shared.dry_run:
            return self._show_plan(again=again)
        with self._recorder(again=again) as recorder:
            self.path = recorder.path
            if recorder.summary is not None:
                return self._show_finished(recorder, recorder.summary)
            try:
                splits = self._splits(load, recorder.should_stop)
            except Stopped:
                recorder.finish(RunStatus.INTERRUPTED, {})
                self._say_stopped(recorder)
                return recorder.exit_code
            self._adopt(recorder, splits)
            experiment = experiment or self._experiment()
            with self.terminal.progress(self.command, recorder.should_stop) as on_progress:
                watched = on_progress if early is None else self._with_early(early, recorder, on_progress)
                with live(recorder, logs=logs) as rows:
                    result = experiment(
                        self.config, recorder=rows, on_progress=watched, device=self.shared.device, splits=splits
                    )
            self._draw_all(recorder, result)
            return self._finish(recorder, result)

    def apply(self, file: Path, key: str, value: object) -> None:
        """`--apply`: write a value into a config file."""
        from hpcli.config import set_in_file
        from hpcli.config.varying import written

        set_in_file(file, key, value)
        self.terminal.note(f"wrote {key}: {written(value)} into {file}")

    def go_on(self) -> None:
        """Say which command follows what came out, with everything that made this run."""
        from hpcli.config.code import resuming

        following = None if self.result is None else self.result.following
        if following is None or self.path is None:
            return
        for note in following.said(self.path, resuming(self.command, self.path, self.config)):
            self.terminal.note(note)
        made_by = {} if following.of_run else {**self.given, **following.keys}
        more = repeated(self.shared, made_by, config=not following.of_run)
        self.terminal.note(f"next: {following.line(self.path)}{more}")

    def _experiment(self) -> RunExperiment:
        module = COMMANDS[self.command].module
        return cast(RunExperiment, getattr(importlib.import_module(f"hpcli.experiments.{module}"), module))

    def _show_plan(self, *, again: bool) -> int:
        """`--dry-run`: refuses what the run would refuse."""
        from hpcli.experiments.plan import plan

        if self.shared.resume is not None:
            self._recorder(again=again).check()
        facts = plan(COMMANDS[self.command].module, self.config, device=self.shared.device)
        self.terminal.table(f"{self.command} would run", facts)
        return 0

    def _recorder(self, *, again: bool) -> DiskRecorder:
        """A new run folder, or the one to go on with."""
        from hpcli.recording.disk import DiskRecorder

        if self.shared.resume is None:
            return DiskRecorder.create(self.command, self.config, self.shared.out)
        return DiskRecorder.reopen(self.command, self.shared.resume, self.config, again=again)

    def _splits(self, load: Callable[..., Splits] | None, stops: Callable[[], bool]) -> Splits:
        """The data, whose decoding is shown."""
        from hpcli.data.dataset import load_splits

        with self.terminal.decoding(stops) as on_decode:
            return (load or load_splits)(self.config, on_decode=on_decode)

    def _adopt(self, recorder: DiskRecorder, splits: Splits) -> None:
        """Write down where the data of a resumed run are now, once they are known to be the same."""
        if self.config != recorder.config:
            from hpcli.results.data import DataFacts

            DataFacts.of(splits).check_unchanged(recorder)
            recorder.adopt(self.config)

    def draw(self, recorder: DiskRecorder, figures: Mapping[str, Figure]) -> None:
        """Put pictures into the run folder, each once."""
        for name, figure in figures.items():
            if name not in self._drawn:
                recorder.keep_figure(name, figure)
        self._drawn |= figures.keys()

    def _with_early(
        self, figures: Callable[[Result], Mapping[str, Figure]], recorder: DiskRecorder, on_progress: OnProgress
    ) -> OnProgress:
        """Draws the early pictures at the experiment's first report, and passes all reports on."""
        waiting = [figures]

        def report(progress: Progress) -> None:
            """Draw them if they are not drawn, and pass it on."""
            while waiting:
                self.draw(recorder, waiting.pop()(result_class(self.command).from_run(recorder)))
            on_progress(progress)

        return report

    def _draw_all(self, recorder: DiskRecorder, result: Result) -> None:
        """The pictures of the result, and none that only an earlier process had, of what there was by then."""
        from hpcli import plots

        self.draw(recorder, plots.figures(result))
        recorder.drop_figures(name for name in plots.passing(result) if name not in self._drawn)

    def _finish(self, recorder: DiskRecorder, result: Result) -> int:
        """Write and show how it ended."""
        from hpcli.config.code import resuming

        self.result = result if result.status.is_over else None
        full = self.summary = recorder.finish(result.status, result.summary())
        if result.status == RunStatus.INTERRUPTED:
            self._say_stopped(recorder)
        else:
            self.terminal.summary(full, sorted(file.name for file in recorder.path.glob("*.png")))
        if result.status == RunStatus.DIVERGED:
            where = "" if recorder.step is None else f" at step {recorder.step}"
            advice = ": lower schedule.max_lr (hpcli lr-find shows how far it can go), or set train.clip_norm: 1.0"
            self.terminal.note(f"{result.status}{where}{'' if full.get('diagnosis') else advice}")
        if full.get("failed"):
            self.terminal.note(
                f"{full['failed']} trials failed: their error.log in {recorder.path}/trials says why; "
                f"{resuming(self.command, recorder.path, self.config)} trains them again"
            )
        return recorder.exit_code

    def _say_stopped(self, recorder: DiskRecorder) -> None:
        """Say how an interrupted run goes on."""
        from hpcli.config.code import resuming
        from hpcli.training.launch import torchrun

        again = f"go on: {torchrun()}{resuming(self.command, recorder.path, self.config)}"
        advice = again if self.options.resumes else "start it again"
        step = "" if recorder.step is None else f" after step {recorder.step}"
        self.terminal.note(f"stopped{step}; {advice}")

    def _show_finished(self, recorder: DiskRecorder, summary: Mapping[str, object]) -> int:
        """Show the summary of a run that is finished already."""
        self.summary, self.result = summary, result_class(self.command).from_run(recorder)
        self.terminal.note(f"{summary['run_dir']}: finished already; nothing to do")
        self.terminal.summary(summary, [])
        return DIVERGED if summary["status"] == RunStatus.DIVERGED else 0
