"""docs/papers.md says what the kept tables say; so do the table of docs/optimizers.md, and what docs/sweeps.md says of workers."""

from __future__ import annotations

import csv
import re
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/papers.md").read_text()
KEPT = ROOT / "benchmarks/results/papers"


@pytest.fixture(scope="module")
def page() -> Iterator[ModuleType]:
    sys.path.insert(0, str(ROOT / "benchmarks"))
    yield import_module("papers_page")
    sys.path.remove(str(ROOT / "benchmarks"))


def test_its_table_is_made_from_the_kept_tables(page: ModuleType) -> None:
    """`python benchmarks/papers.py` writes it."""
    assert page.TABLE.search(PAGE)[0] == page.table()
    assert page.table().count("\n") - 2 >= 12


def test_every_experiment_has_a_row_and_a_picture(page: ModuleType) -> None:
    """Of those that have been run; the page names the others."""
    names = {file.stem for file in (ROOT / "configs/papers").glob("*.yaml")}
    assert set(page.PICTURED) == names
    run = {row.config for row in page.rows()}
    assert all(f"[{name}](../configs/papers/{name}.yaml)" in PAGE for name in names - run)
    for name in run:
        assert f"](pictures/papers/{name}.png)" in PAGE
        assert (ROOT / f"docs/pictures/papers/{name}.png").is_file()


@pytest.mark.parametrize("name", ["momentum-sgd", "range-plain", "cycle-ends", "short-runs"])
def test_its_pictures_can_be_made(page: ModuleType, name: str) -> None:
    """One of each kind."""
    assert page.PICTURED[name]().axes


def test_what_is_kept_says_where_it_was_made_and_has_three_seeds() -> None:
    for file in KEPT.glob("*.csv"):
        first, *lines = file.read_text().splitlines()
        assert first.startswith("# 202")
        assert "torch" in first
        if file.stem.endswith("-sweep"):
            table = list(csv.DictReader(lines))
            for value in {row["value"] for row in table}:
                assert len({row["seed"] for row in table if row["value"] == value}) >= 3, file.name


READING = re.compile(
    r"(confirmed|seen|not told apart|the other way round|as good), [-+\d.e]+ \[([-\d.e]+), ([-\d.e]+)\]"
)


def test_no_order_is_asserted_beyond_its_noise(page: ModuleType) -> None:
    """Where an order of two values is read, their interval lies on that side of 0; of all kinds of reading there are some."""
    readings = "; ".join(row.reading for row in page.rows())
    found = READING.findall(readings)
    assert len(found) >= 10
    for word, low, high in found:
        side = 1 if float(low) > 0 else -1 if float(high) < 0 else 0
        side_of = {"confirmed": 1, "seen": 1, "not told apart": 0, "the other way round": -1}
        assert word == "as good" or side == side_of[word]
    assert {word for word, *_ in found} == {"confirmed", "seen", "not told apart", "the other way round", "as good"}
    assert "BatchNorm" in readings


def test_the_table_of_optimizers_is_made_from_what_is_kept(page: ModuleType) -> None:
    """`python benchmarks/optimizers.py` writes it."""
    optimizers = import_module("optimizers")
    found = optimizers.TABLE.search(optimizers.PAGE.read_text())
    assert found[0] == optimizers.table()
    assert found[0].count("\n") - 2 == len(optimizers.WAYS)


def test_what_two_workers_bring_is_as_measured() -> None:
    one, two = list(csv.DictReader((ROOT / "benchmarks/results/workers.csv").read_text().splitlines()[1:]))
    said = " ".join((ROOT / "docs/sweeps.md").read_text().split())
    assert one["trials"] == "40"
    assert (
        f"{one['trial_seconds']} s each took {one['seconds']} s with one worker and {two['seconds']} s with two" in said
    )
