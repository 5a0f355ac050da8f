"""Texts that fit into a table."""

from __future__ import annotations

import pytest
from rich.cells import cell_len

from hpcli.results.facts import time_text
from hpcli.views.cells import clipped, facts_text, one_line


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, ""), (-3, "0.0 s"), (4.24, "4.2 s"), (59, "59 s"), (100, "2 min"), (4000, "67 min"), (5400, "1 h 30"),
     (40000, "11 h"), (86400 * 3, "3 days"), (86400 * 800, "2 years"), (1e300, "?"), (float("nan"), "?")],
)  # fmt: skip
def test_times(seconds: float | None, text: str) -> None:
    assert time_text(seconds) == text


@pytest.mark.parametrize("text", ["n" * 300, "実" * 100, "a実" * 50, "🔥" * 40, "\x1b[31m" * 20])
def test_a_clipped_text_fits_and_has_both_ends(text: str) -> None:
    for most in (7, 20, 21):
        shown = clipped(text, most)
        assert most - 4 <= cell_len(shown) <= most
        assert "…" in shown
    assert clipped("short", 20) == "short"


def test_nothing_moves_the_cursor() -> None:
    assert one_line("a\x1b[1mb\nc\u202ed") == "a\\x1b[1mb\\nc\\u202ed"


@pytest.mark.parametrize(
    ("facts", "text"),
    [
        ({"valid_loss": 0.12345, "valid_accuracy": 0.961}, "loss 0.1235, 96.1%"),
        ({"suggested_lr": 0.0053, "suggested_lr_low": 0.0041, "suggested_lr_high": 0.0064}, "lr 0.0053, 0.0041 to 0.0064"),
        ({"refusal": "still_falling"}, "none: still falling"),
        ({"optimizer.weight_decay": 1e-4}, "wd 0.0001"),
        ({"optimizer.weight_decay": None}, "wd null"),
        ({"connection": "separated", "barrier": 1.62}, "separated, barrier 1.62"),
        ({}, ""),
    ],
)  # fmt: skip
def test_main_facts(facts: dict[str, object], text: str) -> None:
    assert facts_text(facts) == text
