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


@pytest.mark.parametrize("count", [0, 1, 5, WORTH_TRYING, WORTH_TRYING * 5 + 1])
def test_what_is_read_comes_in_order(count: int) -> None:
    assert list(in_order(lambda number: -number, range(count))) == [-number for number in range(count)]


def test_files_that_wait_are_read_by_all_threads() -> None:
    names = set()

    def read(number: int) -> int:
        names.add(threading.current_thread().name)
        return waits(number)

    assert threads_for(read, range(WORTH_TRYING)) == 4
    names.clear()
    assert list(in_order(read, range(WORTH_TRYING)))[-1] == 1 - WORTH_TRYING
    assert len(names - {threading.current_thread().name}) >= 4


def test_files_that_python_is_busy_with_are_read_by_one() -> None:
    """One thread at a time has the lock, as Python's own; the machine's noise may choose otherwise once."""
    lock = threading.Lock()

    def read(number: int) -> None:
        with lock:
            end = time.perf_counter() + 1e-4
            while time.perf_counter() < end:
                pass

    assert [threads_for(read, range(WORTH_TRYING)) for _ in range(5)].count(1) >= 3


def test_one_thread_is_the_callers_own() -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("os.cpu_count", lambda: 1)
        names = set(in_order(lambda _: threading.current_thread().name, range(5)))
    assert names == {threading.current_thread().name}


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
