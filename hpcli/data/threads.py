"""Many files, each read by a function, by as many threads as pay."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

WORTH_TRYING = 1_000
"""Files that it pays to try both ways for."""
WARM_UP, TRIED = 8, 64
"""Files: read before it is timed, and timed."""
AT_ONCE = 4_096
"""Files handed to the threads at a time."""

Item = TypeVar("Item")
Found = TypeVar("Found")


def in_order(read: Callable[[Item], Found], files: Sequence[Item]) -> Iterator[Found]:
    """What each file is read as, in their order.

    Args:
        read: called by several threads at once, of a few files twice.
        files: their paths, or numbers that `read` knows them by.
    """
    threads = threads_for(read, files)
    if threads == 1:
        yield from map(read, files)
        return
    with ThreadPoolExecutor(threads) as pool:
        for start in range(0, len(files), AT_ONCE):
            yield from pool.map(read, files[start : start + AT_ONCE])


def threads_for(read: Callable[[Item], object], files: Sequence[Item]) -> int:
    """One thread, or one a core, whichever reads the first few files faster.

    Photographs, and files on a slow disk, are read fastest by many threads. Small pictures by one: Python lets one of
    its threads work at a time, and taking turns costs more than Pillow does beside it.
    """
    cores = os.cpu_count() or 1
    if cores == 1 or len(files) < WORTH_TRYING:
        return cores
    for file in files[:WARM_UP]:
        read(file)
    alone, together = files[WARM_UP : WARM_UP + TRIED], files[WARM_UP + TRIED : WARM_UP + 2 * TRIED]
    with ThreadPoolExecutor(cores) as pool:
        list(pool.map(read, files[:WARM_UP]))  # its threads have started
        begun = time.perf_counter()
        list(pool.map(read, together))
        by_all = time.perf_counter() - begun
    begun = time.perf_counter()
    for file in alone:
        read(file)
    return 1 if time.perf_counter() - begun < by_all else cores
