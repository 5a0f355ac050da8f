"""The points of distributions, against scipy.stats and published tables."""

from __future__ import annotations

import subprocess
import sys

import pytest
from scipy import stats

from hpcli.analysis.distributions import chi2_point, normal_below, normal_point, studentized_point, t_point

SHARES = [1e-6, 0.01, 0.05, 0.5, 0.95, 0.999]


@pytest.mark.parametrize("df", [1, 2, 7, 300])
def test_points_are_those_of_scipy_stats(df: int) -> None:
    assert chi2_point(SHARES, df) == pytest.approx(stats.chi2.ppf(SHARES, df), rel=1e-9)
    assert [t_point(share, df) for share in SHARES] == pytest.approx(stats.t.ppf(SHARES, df), rel=1e-9)
    assert normal_point(SHARES) == pytest.approx(stats.norm.ppf(SHARES))
    assert normal_below(normal_point(SHARES)) == pytest.approx(SHARES)


@pytest.mark.parametrize("level", [0.05, 0.0125, 0.001])
@pytest.mark.parametrize("count", [2, 5, 10, 200])
@pytest.mark.parametrize("df", [1, 2, 8, 120, 2000])
def test_the_studentized_range_is_that_of_scipy_stats(level: float, count: int, df: int) -> None:
    point = studentized_point(1 - level, count, df)
    assert stats.studentized_range.cdf(point, count, df) == pytest.approx(1 - level, abs=1e-7)


def test_the_studentized_range_is_that_of_published_tables() -> None:
    """Harter, Order Statistics and Their Use (1969), table of 5 % points."""
    table = {(2, 1): 17.97, (3, 1): 26.98, (2, 10): 3.151, (10, 10): 5.599, (20, 5): 8.208, (3, 120): 3.356}
    found = {case: studentized_point(0.95, *case) for case in table}
    assert found == {case: pytest.approx(value, abs=6e-3) for case, value in table.items()}


def test_a_verdict_needs_no_scipy_stats() -> None:
    code = (
        "import sys, numpy; from hpcli.analysis.verdict import verdict;"
        "verdict(numpy.random.default_rng(0).random((4, 3)) + 1, list('abcd')); print('scipy.stats' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout == "False\n"
