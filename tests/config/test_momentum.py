from __future__ import annotations

import pytest

from hpcli.config.momentum import Momentum, parse_momentum


@pytest.mark.parametrize(
    ("written", "momentum"),
    [
        ("0.95-0.85", (0.95, 0.85)),
        (" 0.99 - 0.90 ", (0.99, 0.9)),
        ("9.5e-1-8.5e-1", (0.95, 0.85)),
        ("0.9", (0.9, 0.9)),
        (0.9, (0.9, 0.9)),
        (0, (0.0, 0.0)),
        ("0.9-0.9", (0.9, 0.9)),
    ],
)
def test_pairs_and_numbers(written: object, momentum: tuple[float, float]) -> None:
    assert parse_momentum(written) == momentum


@pytest.mark.parametrize(
    "written", ["0.85-0.95", "1.0", "0.95-1", "-0.9", "0.9-0.8-0.7", "x", "", True, None, [0.95, 0.85], "1e-3.5"]
)
def test_what_is_no_momentum(written: object) -> None:
    with pytest.raises(ValueError, match=r"momentum|pair"):
        parse_momentum(written)


def test_it_is_written_as_it_is_read() -> None:
    assert str(Momentum(0.95, 0.85)) == "0.95-0.85"
    assert parse_momentum(str(Momentum(0.9, 0.9))) == Momentum(0.9, 0.9)
