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
    from hpcli.results.batch_size import BatchSizeResult

    if isinstance(session.result, BatchSizeResult):
        fastest = session.result.fastest
        around = [size for size in (fastest // 2, fastest, 2 * fastest) if 1 <= size <= session.num_train_images]
        session.say_next(f"hpcli sweep data.batch_size --values {','.join(map(str, around))}")
    return code


def _numbers(text: str) -> list[int]:
    try:
        return [int(size) for size in text.split(",")]
    except ValueError:
        raise UsageError(f"--sizes {text}: write numbers, for example 64,128,256") from None
