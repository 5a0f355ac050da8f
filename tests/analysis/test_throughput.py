from __future__ import annotations

from hpcli.analysis.throughput import enough, has_levelled_off


def test_enough_is_where_nothing_more_is_gained() -> None:
    assert enough([16, 32, 64, 128], [100, 190, 250, 255]) == 64
    assert enough([16, 32, 64], [100, 190, 300]) == 64
    assert enough([16], [100]) == 16
    assert enough([16, 32, 64], [100, 98, 60]) == 16


def test_two_doublings_without_gain_are_the_end() -> None:
    assert has_levelled_off([100, 180, 250, 251, 252])
    assert not has_levelled_off([100, 180, 250, 251])
    assert not has_levelled_off([100, 101])
    assert has_levelled_off([100, 90, 80])
