"""How many threads read files."""

from __future__ import annotations

import threading
import time

import pytest

from hpcli.data.threads import WORTH_TRYING, in_order, threads_for


@pytest.fixture(autouse=True)
def _four_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 4)


def waits(number: int) -> int:
    """As a file on a slow disk: others can be read meanwhile."""
    time.sleep(0.002)
    return -number


def works(number: int, lock: threading.Lock) -> int:
    """As a small picture: Python is what takes the time, and one thread at a time has it."""
    with lock:
        end = time.perf_counter() + 1e-4
        while time.perf_counter() < end:
            pass
    return -number


@pytest.mark.parametrize("count", [0, 1, 5, WORTH_TRYING, WORTH_TRYING * 5 + 1])
def test_what_is_read_comes_in_order(count: int) -> None:
    assert list(in_order(lambda number: -number, range(count))) == [-number for number in range(count)]


def test_files_that_wait_are_read_by_all_threads() -> None:
    assert threads_for(waits, range(WORTH_TRYING)) == 4
    begun = time.perf_counter()
    assert len(list(in_order(waits, range(WORTH_TRYING)))) == WORTH_TRYING
    assert time.perf_counter() - begun < 0.6 * WORTH_TRYING * 0.002


def test_files_that_python_is_busy_with_are_read_by_one() -> None:
    lock, names = threading.Lock(), []

    def read(number: int) -> int:
        names.append(threading.current_thread().name)
        return works(number, lock)

    assert sum(threads_for(read, range(WORTH_TRYING)) for _ in range(5)) < 5 * 4  # noise of the machine may choose once
    names.clear()
    assert list(in_order(read, range(WORTH_TRYING)))[-1] == 1 - WORTH_TRYING


def test_few_files_are_read_by_all_threads_without_a_trial() -> None:
    calls: list[int] = []
    assert threads_for(calls.append, range(WORTH_TRYING - 1)) == 4
    assert calls == []


@pytest.mark.parametrize("count", [20, WORTH_TRYING])
def test_what_goes_wrong_with_a_file_is_raised(count: int) -> None:
    def read(number: int) -> None:
        if number == count - 1:
            raise ValueError("damaged")

    with pytest.raises(ValueError, match="damaged"):
        list(in_order(read, range(count)))
