"""Any CSV file is judged, or refused in a line: numbers of any size, holes, odd bytes, other programs' dialects."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.cli.test_any_arguments import check

pytestmark = pytest.mark.filterwarnings("ignore::hpcli.errors.HpcliWarning")
QUIET = settings(
    max_examples=200, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
LONG = settings(QUIET, max_examples=5000, derandomize=False)
CELLS = st.one_of(
    st.floats(1e-6, 10).map(repr),
    st.floats().map(repr),
    st.integers(-3, 5).map(str),
    st.sampled_from(["", "nan", "1e400", "-1e-320", "1,5", '"', "a b", "é", "0", "0.1", "0.01", "1e-3", "#", "9" * 40]),
)
HEADERS = st.lists(
    st.sampled_from(["value", "seed", "valid_loss", "lr", "train_loss", "step", "", "#", "value"]),
    min_size=1,
    max_size=6,
)


@st.composite
def tables(draw: st.DrawFn) -> bytes:
    """A table that is nearly one: a header, rows of about its length, in any dialect, cut anywhere."""
    header = draw(st.just(["value", "seed", "valid_loss", "lr", "train_loss"]) | HEADERS)
    rows: list[list[str]] = draw(st.lists(st.lists(CELLS, min_size=len(header), max_size=len(header)), max_size=12))
    is_torn = draw(st.booleans())
    if rows and is_torn:
        rows[draw(st.integers(0, len(rows) - 1))] = draw(st.lists(CELLS, max_size=8))
    between, end = draw(st.sampled_from([",", ";", "\t"])), draw(st.sampled_from(["\n", "\r\n", "\r"]))
    text = end.join(between.join(row) for row in [header, *rows])
    data = text.encode(draw(st.sampled_from(["utf-8", "utf-8-sig", "utf-16"])))
    return data[: draw(st.integers(0, len(data)))] if draw(st.integers(0, 4)) == 0 else data


@st.composite
def fitting(draw: st.DrawFn) -> bytes:
    """Values, seeds and losses that may be judged, a few of them ugly."""
    losses = st.one_of(
        st.floats(0.1, 3), st.floats(0.1, 3), st.sampled_from([float("nan"), float("inf"), 0.0, 1e300, 2.3])
    )
    values = draw(
        st.lists(st.sampled_from(["0", "1e-4", "0.01", "1", "high", "-1"]), min_size=1, max_size=5, unique=True)
    )
    runs = [(value, seed) for value in values for seed in range(draw(st.integers(1, 5)))]
    rows = [f"{value},{seed},{draw(losses)!r},{draw(st.floats(1e-8, 10))!r},{draw(losses)!r}" for value, seed in runs]
    return "\n".join(["value,seed,valid_loss,lr,train_loss", *rows]).encode()


LINES = st.sampled_from(
    [["verdict"], ["verdict", "--chance", "2.3"], ["verdict", "--higher-is-better"], ["verdict", "--json"], ["suggest"],
     ["verdict", "--present", "0.01"], ["verdict", "--step", "step"], ["suggest", "--chance=2.3", "--strict"]]
)  # fmt: skip


def judged(tmp_path: Path, data: bytes, line: list[str]) -> None:
    """It is."""
    (tmp_path / "any.csv").write_bytes(data)
    check([*line, "any.csv"])


@QUIET
@given(data=st.one_of(tables(), fitting(), st.binary(max_size=200)), line=LINES)
@example(data=b"", line=["verdict"])
@example(data=b"value,seed,valid_loss\n1.0,0,1\n1.7976931345e+308,0,1\n", line=["verdict"])
@example(data=b"value,seed,valid_loss\n1,0,1\n1,0,1\n", line=["verdict"])
def test_any_table_has_its_answer(tmp_path: Path, data: bytes, line: list[str]) -> None:
    judged(tmp_path, data, line)


@pytest.mark.torture
@LONG
@given(data=st.one_of(tables(), fitting(), st.binary(max_size=200)), line=LINES)
def test_very_many_tables(tmp_path: Path, data: bytes, line: list[str]) -> None:
    judged(tmp_path, data, line)
