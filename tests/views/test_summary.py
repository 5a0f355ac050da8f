from __future__ import annotations

import io
from collections.abc import Mapping

from rich.console import Console

from hpcli.config import Config, with_overrides
from hpcli.experiments.sweep import sweep
from hpcli.results import Summary
from hpcli.results.facts import HIDDEN, shown_facts
from hpcli.states import Judgement
from hpcli.views.summary import fact_tables

LINE: Summary = {
    "value": 1e-4, "mean_valid_loss": 0.51234, "mean_valid_accuracy": 0.875, "difference": 0.0, "low": 0.0, "high": 0.0,
    "verdict": Judgement.BEST, "candidate": True, "unstable": False, "mean_seconds": 1.25, "weight_growth": {"head": 1.0},
}  # fmt: skip


def printed(facts: Mapping[str, object]) -> list[list[str]]:
    """The tables as lines of words, the title left out."""
    console = Console(file=io.StringIO(), width=200)
    for table in fact_tables("a title", facts):
        console.print(table)
    assert isinstance(console.file, io.StringIO)
    title, *lines = console.file.getvalue().splitlines()
    assert title.strip() == "a title"
    return [line.split() for line in lines]


def test_facts_are_two_columns() -> None:
    facts = {
        "valid_accuracy": 0.8751, "test_top5": 1.0, "valid_loss": 0.123456, "steps": 20, "choice": None,
        "by_seed": {"0": 0.012345, "1": None}, "notes": ["one", "two"], "verdict": Judgement.EQUAL,
    }  # fmt: skip
    assert printed(facts) == [
        ["valid", "accuracy", "87.5%"],
        ["test", "top5", "100.0%"],
        ["valid", "loss", "0.1235"],
        ["steps", "20"],
        ["choice", "-"],
        ["by", "seed", "0", "0.01235,", "1", "-"],
        ["notes", "one;", "two"],
        ["verdict", "equal"],
    ]


def test_lists_of_facts_are_tables_under_them_without_their_empty_columns() -> None:
    lines = [{"value": "a", "loss": 1.0, "budget": None}, {"value": "b", "loss": None, "budget": None}]
    assert printed({"ranking": lines, "steps": 3}) == [["steps", "3"], ["value", "loss"], ["a", "1"], ["b", "-"]]


def test_what_is_for_programs_and_what_is_empty_is_not_shown() -> None:
    summary: Summary = {**dict.fromkeys(HIDDEN, "x"), "notes": [], "by_value": {}, "seeds": 3, "choice": None}
    assert shown_facts(summary) == {"seeds": 3, "choice": None}


def test_an_equal_value_is_as_good_though_it_is_not_the_best() -> None:
    equal = {**LINE, "difference": 0.001, "verdict": Judgement.EQUAL, "candidate": False}
    shown = shown_facts({"ranking": [LINE, equal]})["ranking"]
    assert isinstance(shown, list)
    assert [line["best?"] for line in shown] == ["", "as good"]


def test_a_ranking_is_compared_with_the_best() -> None:
    worse = {
        **LINE, "value": ["resnet20", 0.01], "difference": 0.123, "low": 0.1, "high": 0.15, "verdict": Judgement.WORSE,
        "candidate": False,
    }  # fmt: skip
    lost = {**LINE, "value": 10, "difference": None, "low": None, "high": None, "verdict": Judgement.DIVERGED}
    noisy = {
        **LINE,
        "value": 1e-3,
        "difference": 0.5,
        "low": None,
        "high": None,
        "verdict": Judgement.WORSE,
        "unstable": True,
    }
    shown = shown_facts({"ranking": [LINE, worse, lost, noisy]})["ranking"]
    assert isinstance(shown, list)
    assert [line["value"] for line in shown] == ["1e-4", "resnet20 & 0.01", "10", "1e-3"]
    assert [line["above the best"] for line in shown] == ["", "+0.12 [0.1, 0.15]", "", "+0.5"]
    assert [line["best?"] for line in shown] == ["", "no", "maybe", "maybe"]
    assert [line["verdict"] for line in shown] == ["best", "worse", "diverged", "worse, unstable"]
    assert (shown[0]["valid loss"], shown[0]["accuracy"], shown[0]["s a run"]) == (0.51234, 0.875, 1.25)
    assert {line["decay"] for line in shown} == {None}


def test_a_weight_decays_share_takes_the_place_of_its_time() -> None:
    shown = shown_facts({"ranking": [{**LINE, "decay_budget": 0.01234}]})["ranking"]
    assert isinstance(shown, list)
    assert (shown[0]["decay"], shown[0]["s a run"]) == ("1.23%", None)


def test_a_real_sweeps_summary_is_shown(config: Config) -> None:
    short = with_overrides(config, {"sweep.epochs": 2, "sweep.seeds": 2, "schedule.max_lr": 3e-3})
    result = sweep(short, {"weight_decay": [1e-4, 1e-2]}, device="cpu")
    lines = printed(shown_facts(result.summary()))
    header = next(line for line in lines if line[:1] == ["value"])
    assert header == ["value", "valid", "loss", "accuracy", "above", "the", "best", "verdict", "best?", "decay"]
    assert {line[0] for line in lines[lines.index(header) + 1 :]} == {"1e-4", "0.01"}
