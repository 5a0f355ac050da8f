"""`--out DIR`: whether a run folder may be made there, and what else can be done with what is there."""

from __future__ import annotations

from pathlib import Path

from hpcli.errors import CheckpointError, UsageError


def check_out(command: str, out: Path | None, *, resumes: bool) -> None:
    """Check that a run folder may be made, making nothing; None: one in runs/ always may.

    Args:
        command: whose run it would be.
        out: the folder.
        resumes: whether the command goes on with runs.

    Raises:
        UsageError: there is something already: `--resume` is named where it is a run to go on with.
    """
    from hpcli.files import check_new
    from hpcli.recording.failed_start import is_failed_start

    if out is None or is_failed_start(out):
        return
    try:
        check_new(out)
    except UsageError as error:
        way_on = f", or go on with it by --resume {out}" if resumes and _is_run_of(command, out) else ""
        raise UsageError(f"{error}{way_on}") from None


def _is_run_of(command: str, path: Path) -> bool:
    from hpcli.recording.status import read_standing

    try:
        standing = read_standing(path)
    except (CheckpointError, OSError):
        return False
    return standing is not None and standing.command == command
