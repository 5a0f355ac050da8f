"""`hpcli sweep --resume RUN --worker`: take trials of a sweep that another process drives, wherever it runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from hpcli.cli.command import Call
from hpcli.cli.options import flag
from hpcli.commands import COMMANDS
from hpcli.errors import UsageError
from hpcli.states import RunStatus

if TYPE_CHECKING:
    from hpcli.cli.terminal import Terminal
    from hpcli.config import Config


def work(call: Call, given: Mapping[str, object]) -> int:
    """Take trials until the sweep is over.

    Args:
        call: the command.
        given: options of its own, and what was given for them.

    Returns:
        The exit code: 0, or that of the signal that stopped it.

    Raises:
        UsageError: no sweep, one that trains its trials itself, or options that are the driver's.
        DataError: the images here are not those of the sweep.
    """
    from hpcli.cli.terminal import Terminal, show_warnings
    from hpcli.config.code import check_code

    run = _run(call, given)
    show_warnings()
    terminal = Terminal(quiet=call.shared.quiet, as_json=call.shared.as_json, verbose=call.shared.verbose)
    config, over = _sweep(run)
    check_code(config, allowed=call.shared.allow_code)
    if call.shared.dry_run:
        terminal.table(f"worker of {run}", _standing(run))
        return 0
    if over:
        terminal.note(f"{run}: over already; nothing to train")
        return 0
    return _take(call, run, config, terminal)


def _run(call: Call, given: Mapping[str, object]) -> Path:
    """The sweep's folder, of a call that gives nothing that is the driver's to say."""
    shared = call.shared
    if shared.resume is None:
        raise UsageError("--worker: of which sweep? write hpcli sweep --resume RUN_DIR --worker")
    others = {**given, "-c": shared.config, "--set": shared.assignments, "--out": shared.out}
    found = [*(name for name, value in others.items() if value), *map(flag, call.keys)]
    if found:
        raise UsageError(
            f"--worker: takes the sweep as it is; leave out {', '.join(found)}: it is for the command that drives the "
            f"sweep, hpcli sweep --resume {shared.resume}"
        )
    return shared.resume


def _sweep(run: Path) -> tuple[Config, bool]:
    """The config of a sweep that has workers, and whether it is over."""
    from hpcli.files import is_locked
    from hpcli.recording.folder import Folder
    from hpcli.recording.status import LOCK
    from hpcli.trials.shared_worker import is_over

    folder = Folder(run)
    config, standing = folder.config, folder.standing
    command = standing.command if standing else ""
    if command not in COMMANDS or COMMANDS[command].module != "sweep":
        raise UsageError(f"{run}: a run of {command}, and workers take the trials of sweeps; name a sweep's folder")
    if is_over(run) and not is_locked(run / LOCK):
        return config, True
    if config.sweep.workers is None:
        raise UsageError(
            f"{run}: trains its trials itself; stop it, and go on with it by hpcli {command} --resume {run} --workers 0"
        )
    return config, False


def _standing(run: Path) -> dict[str, object]:
    """What `--dry-run` says: what waits, and whether anybody drives."""
    from hpcli.files import is_locked
    from hpcli.recording.status import LOCK
    from hpcli.trials.shared_worker import FREE, listed

    found = Counter("not laid out" if each is None else each.status.value for _, each in listed(run))
    free = sum(found.pop(status.value, 0) for status in FREE)
    return {"driven": is_locked(run / LOCK), RunStatus.WAITING.value: free, **found}


def _take(call: Call, run: Path, config: Config, terminal: Terminal) -> int:
    """Load what the trials need, once, and take them."""
    from hpcli.data.dataset import load_splits
    from hpcli.experiments.preflight import check_any_starts
    from hpcli.results.data import DataFacts
    from hpcli.results.points import settings_of
    from hpcli.signals import Stopped, StopSignals
    from hpcli.trials.shared_worker import SharedWorker
    from hpcli.trials.trainers import Trainers

    with StopSignals() as signals:

        def stops() -> bool:
            """Whether a signal has come."""
            return signals.received is not None

        try:
            with terminal.decoding(stops) as on_decode:
                splits = load_splits(config, on_decode=on_decode)
        except Stopped:
            _say_end(terminal, run, {}, stopped=True)
            return signals.exit_code
        check_any_starts([each.config for each in settings_of(config)], splits, device=call.shared.device)
        trainers = Trainers(config, device=call.shared.device, splits=splits)
        with terminal.progress("worker", stops) as on_progress:
            data = DataFacts.of(splits, config.data.train_fraction)
            worker = SharedWorker(run, trainers, signals, on_progress, data=data, allow_code=call.shared.allow_code)
            worker.work()
        _say_end(terminal, run, worker.ended, stopped=stops())
        return signals.exit_code


def _say_end(terminal: Terminal, run: Path, counts: Mapping[RunStatus, int], *, stopped: bool) -> None:
    """Say what this worker has done, and what follows.

    Args:
        terminal: to say it on.
        run: of the sweep.
        counts: how many of its trials ended how.
        stopped: whether a signal asked it to.
    """
    from hpcli.trials.shared_worker import is_over

    ended = ", ".join(f"{count} {status}" for status, count in sorted(counts.items()))
    done = f"this worker's trials: {ended or 'none'}"
    if stopped:
        terminal.note(f"stopped; {done}. Any worker goes on: hpcli sweep --resume {run} --worker")
    else:
        why = "the sweep is over" if is_over(run) else "nobody drives the sweep, and nothing is left to train"
        terminal.note(f"{run}: {why}; {done}")
