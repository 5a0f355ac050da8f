"""`hpcli batch-size`."""

from __future__ import annotations

from typing import Annotated

import typer

from hpcli.cli.command import Call, command
from hpcli.errors import UsageError

Sizes = Annotated[str | None, typer.Option(metavar="LIST", help="Only these: 64,128,256.")]


@command(checkpoints=())
def batch_size(call: Call, sizes: Sizes = None) -> int:
    """Time training at each batch size: where throughput stops growing, and on a GPU the largest that fits."""
    session = call.session({} if sizes is None else {"batch_size.sizes": _numbers(sizes)})
    code = session.run()
    session.go_on()
    return code


def _numbers(text: str) -> list[int]:
    try:
        return [int(size) for size in text.split(",")]
    except ValueError:
        raise UsageError(f"--sizes {text}: write numbers, for example 64,128,256") from None
