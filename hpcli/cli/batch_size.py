"""`hpcli batch-size`."""

from __future__ import annotations

from typing import Annotated

import typer

from hpcli.cli.options import AllowCode, ConfigFile, Device, DryRun, Json, Out, Quiet, Settings
from hpcli.cli.session import Session, overrides
from hpcli.errors import UsageError


def batch_size(
    sizes: Annotated[str | None, typer.Option(metavar="LIST", help="Only these: 64,128,256.")] = None,
    config: ConfigFile = None,
    settings: Settings = None,
    out: Out = None,
    device: Device = "auto",
    json: Json = False,
    quiet: Quiet = False,
    dry_run: DryRun = False,
    allow_code: AllowCode = False,
) -> int:
    """Time training at each batch size: where throughput stops growing, and on a GPU the largest that fits."""
    session = Session(
        "batch-size", config, overrides(settings, {}), as_json=json, quiet=quiet, out=out, allow_code=allow_code
    )
    chosen = _sizes(sizes)
    if dry_run:
        return session.show_plan()
    from hpcli import plots
    from hpcli.experiments.batch_size import batch_size as measure

    with session.run_dir() as run:
        splits = session.splits()
        with session.terminal.progress("batch-size") as on_progress:
            result = measure(run.config, sizes=chosen, store=run, on_progress=on_progress, device=device, splits=splits)
        run.figure("batch_size", plots.batch_size(result))
        code = session.finish(run, result.status, result.summary)
    around = [size for size in (result.enough // 2, result.enough, 2 * result.enough) if 1 <= size <= len(splits.train)]
    session.say_next(f"hpcli sweep data.batch_size --values {','.join(map(str, around))}")
    return code


def _sizes(text: str | None) -> list[int] | None:
    try:
        return None if text is None else [int(size) for size in text.split(",")]
    except ValueError:
        raise UsageError(f"--sizes {text}: write numbers, for example 64,128,256") from None
