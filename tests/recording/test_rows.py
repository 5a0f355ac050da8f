"""Whatever is written comes back the same from memory and from disk, whatever is in it and wherever a crash tears it."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hpcli.config import load_config
from hpcli.errors import CheckpointError
from hpcli.recording.disk import DiskRecorder
from hpcli.recording.folder import Folder
from hpcli.recording.memory import MemoryRecorder
from hpcli.recording.rows import Row, cells, checked, columns, columns_of

CONFIG = load_config()


class Word(StrEnum):
    PLAIN = "plain"
    NUMBER = "007"
    ODD = 'a,"b"\n'


@dataclass(frozen=True)
class Sample(Row, table="samples"):
    whole: int
    share: float
    class_: str
    flag: bool
    word: Word
    whole_or_none: int | None
    share_or_none: float | None
    text_or_none: str | None
    flag_or_none: bool | None
    word_or_none: Word | None


@dataclass(frozen=True)
class Lone(Row, table="lone"):
    """A row of one text: an empty one must not look like an empty line."""

    text: str


GOOD = Sample(1, 0.5, "cat", True, Word.PLAIN, None, None, None, None, None)

TEXTS = st.one_of(
    st.sampled_from(["", "007", "1_000", "nan", "inf", "1e5", "None", "True", " ", "\r", "\n", "\r\n", '"', '""', ",", "\0"]),
    st.text(max_size=20),
    st.text(st.characters(categories=["Cs"]) | st.sampled_from('\r\n",\0aé€🙂\u2028\x85\x1c'), max_size=8),
)  # fmt: skip
FLOATS = st.one_of(
    st.sampled_from([math.nan, math.inf, -math.inf, 0.0, -0.0, 5e-324, 2.2250738585072e-308, 1.7976931348623157e308, 0.1]),
    st.floats(),
)  # fmt: skip
INTS = st.one_of(st.integers(), st.sampled_from([2**53 + 1, -(2**63), 2**64, 10**300]))
WORDS = st.sampled_from(list(Word))
KINDS: list[st.SearchStrategy[Any]] = [INTS, FLOATS, TEXTS, st.booleans(), WORDS]
SAMPLES = st.builds(Sample, *KINDS, *(kind | st.none() for kind in KINDS))
CHANGES = st.lists(st.tuples(st.booleans(), st.lists(SAMPLES, max_size=3)), min_size=1, max_size=4)
"""Rows that are added, or that replace the table."""


def recorders(factory: pytest.TempPathFactory) -> tuple[MemoryRecorder, DiskRecorder]:
    return MemoryRecorder(), DiskRecorder(factory.mktemp("run"), "train", CONFIG, resumed=False)


def shown(rows: Sequence[Row]) -> list[str]:
    """To compare by: 1, 1.0 and True differ in it, −0.0 and 0.0 too, and NaN is NaN."""
    return [repr(row) for row in rows]


@settings(max_examples=150, deadline=None)
@given(changes=CHANGES)
def test_disk_gives_back_what_memory_does(
    tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[bool, list[Sample]]]
) -> None:
    memory, disk = recorders(tmp_path_factory)
    for adds, rows in changes:
        for recorder in (memory, disk):
            if adds:
                for row in rows:
                    recorder.add(row)
            else:
                recorder.replace(Sample, rows)
    disk.files.close()
    assert shown(disk.rows(Sample)) == shown(memory.rows(Sample)) == shown(Folder(disk.path).rows(Sample))
    assert disk.rows(Lone) == memory.rows(Lone) == []


@settings(max_examples=150, deadline=None)
@given(rows=st.lists(SAMPLES, min_size=1, max_size=3), following=SAMPLES, data=st.data())
def test_a_torn_last_row_leaves_the_others_as_they_were(
    tmp_path_factory: pytest.TempPathFactory, rows: list[Sample], following: Sample, data: st.DataObject
) -> None:
    """Wherever it is torn; and the next process goes on where the complete rows end."""
    memory, disk = recorders(tmp_path_factory)
    path = disk.path / "samples.csv"
    for row in rows[:-1]:
        memory.add(row)
        disk.add(row)
    disk.files.write()
    before = path.stat().st_size if len(rows) > 1 else 0
    disk.add(rows[-1])
    disk.files.close()
    os.truncate(path, data.draw(st.integers(before, path.stat().st_size - 1)))
    assert shown(Folder(disk.path).rows(Sample)) == shown(memory.rows(Sample))
    memory.add(following)
    disk.add(following)
    disk.files.close()
    assert shown(Folder(disk.path).rows(Sample)) == shown(memory.rows(Sample))


@settings(max_examples=300, deadline=None)
@given(
    name=st.sampled_from([each.name for each in fields(Sample)]),
    value=st.one_of(
        st.none(), *KINDS, st.sampled_from([np.float32(0.1), np.float64(2), np.int64(3), np.bool_(True), np.str_("x"), b"x"])
    ),
)  # fmt: skip
def test_a_value_is_taken_by_both_or_refused_by_both(
    tmp_path_factory: pytest.TempPathFactory, name: str, value: object
) -> None:
    row = replace(GOOD, **{name: value})  # type: ignore[arg-type]
    outcomes = []
    for recorder in recorders(tmp_path_factory):
        recorder.add(GOOD)
        try:
            recorder.add(row)
        except (TypeError, OverflowError) as error:
            outcomes.append(f"{type(error).__name__}: {error}")
            assert recorder.rows(Sample) == [GOOD]
        else:
            outcomes.append(repr(recorder.rows(Sample)[1]))
    assert outcomes[0] == outcomes[1]


WRONG: list[tuple[str, object, str]] = [
    ("whole", 1.0, "whole: 1.0 is a float, the column holds int"),
    ("whole", True, "whole: True is a bool, the column holds int"),
    ("whole", "7", "whole: '7' is a str, the column holds int"),
    ("whole", None, "whole: None is a NoneType, the column holds int"),
    ("share", "0.5", "share: '0.5' is a str, the column holds float"),
    ("share", True, "share: True is a bool, the column holds float"),
    ("share", None, "share: None is a NoneType, the column holds float"),
    ("class_", 7, "class: 7 is a int, the column holds str"),
    ("class_", None, "class: None is a NoneType, the column holds str"),
    ("flag", 1, "flag: 1 is a int, the column holds bool"),
    ("flag", None, "flag: None is a NoneType, the column holds bool"),
    ("word", "plain", "word: 'plain' is a str, the column holds Word"),
    ("word", None, "word: None is a NoneType, the column holds Word"),
    ("whole_or_none", 1.5, "whole_or_none: 1.5 is a float, the column holds int"),
    ("share_or_none", "0.5", "share_or_none: '0.5' is a str, the column holds float"),
    ("text_or_none", 7, "text_or_none: 7 is a int, the column holds str"),
    ("flag_or_none", 0, "flag_or_none: 0 is a int, the column holds bool"),
    ("word_or_none", "nonsense", "word_or_none: 'nonsense' is a str, the column holds Word"),
]


@pytest.mark.parametrize(("name", "value", "fault"), WRONG)
def test_a_wrong_type_is_the_same_error_everywhere(
    tmp_path_factory: pytest.TempPathFactory, name: str, value: object, fault: str
) -> None:
    """Alone or among others; the table stays as it was."""
    wrong = replace(GOOD, **{name: value})  # type: ignore[arg-type]
    for recorder in recorders(tmp_path_factory):
        recorder.replace(Sample, [GOOD])
        with pytest.raises(TypeError) as added:
            recorder.add(wrong)
        with pytest.raises(TypeError) as replaced:
            recorder.replace(Sample, [GOOD, GOOD, wrong])
        assert str(added.value) == str(replaced.value) == fault
        assert recorder.rows(Sample) == [GOOD]


def test_numbers_of_numpy_become_pythons_and_an_empty_optional_text_none(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    row = replace(
        GOOD,
        whole=np.int64(3),  # type: ignore[arg-type]
        share=np.float32(0.1),  # type: ignore[arg-type]
        flag=np.bool_(False),  # type: ignore[arg-type]
        share_or_none=np.int32(2),  # type: ignore[arg-type]
        class_="",
        text_or_none="",
    )
    expected = replace(GOOD, whole=3, share=0.10000000149011612, flag=False, share_or_none=2.0, class_="")
    for recorder in recorders(tmp_path_factory):
        recorder.add(row)
        (found,) = recorder.rows(Sample)
        assert repr(found) == repr(expected)
    assert repr(checked(row)) == repr(expected)


@pytest.mark.parametrize("text", ["", "007", '"', "\n", "\r", "\ud800", "🙂"])
def test_a_table_of_one_text_keeps_it(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    for recorder in recorders(tmp_path_factory):
        recorder.add(Lone(text))
        recorder.add(Lone("end"))
        assert recorder.rows(Lone) == [Lone(text), Lone("end")]


GOOD_LINE = ("1", "0.5", "cat", "1", "plain", "", "", "", "", "")
JUNK = [
    ("whole", "x", "whole: 'x' is not of type int"),
    ("whole", "", "whole: '' is not of type int"),
    ("whole", "1.0", r"whole: '1\.0' is not of type int"),
    ("whole", "nan", "whole: 'nan' is not of type int"),
    ("share", "half", "share: 'half' is not of type float"),
    ("share", "", "share: '' is not of type float"),
    ("flag", "True", "flag: 'True' is not of type bool"),
    ("flag", "", "flag: '' is not of type bool"),
    ("flag", "2", "flag: '2' is not of type bool"),
    ("word", "Plain", "word: 'Plain' is not of type Word"),
    ("word", "", "word: '' is not of type Word"),
    ("whole_or_none", "None", "whole_or_none: 'None' is not of type int"),
    ("share_or_none", "-", "share_or_none: '-' is not of type float"),
    ("flag_or_none", "yes", "flag_or_none: 'yes' is not of type bool"),
    ("word_or_none", "x" * 1000, f"word_or_none: '{'x' * 40}' is not of type Word"),
]


@pytest.mark.parametrize(("name", "text", "fault"), JUNK)
def test_junk_in_a_file_is_named_by_file_line_and_column(tmp_path: Path, name: str, text: str, fault: str) -> None:
    header = [column.name for column in columns_of(Sample)]
    line = list(GOOD_LINE)
    line[header.index(name)] = text
    (tmp_path / "samples.csv").write_text("\n".join(",".join(each) for each in (header, GOOD_LINE, line)) + "\n")
    with pytest.raises(CheckpointError, match=rf"samples\.csv:3: {fault}; restore the file, or start anew"):
        Folder(tmp_path).rows(Sample)


def test_columns_are_the_fields_in_their_order_without_the_underscore() -> None:
    assert [column.name for column in columns_of(Sample)][:4] == ["whole", "share", "class", "flag"]
    assert [(column.kind, column.optional) for column in columns_of(Sample)] == [
        (kind, optional) for optional in (False, True) for kind in (int, float, str, bool, Word)
    ]
    assert cells(GOOD) == (1, 0.5, "cat", True, Word.PLAIN, None, None, None, None, None)


def test_a_field_that_no_column_can_hold_is_an_error() -> None:
    @dataclass(frozen=True)
    class Listed(Row, table="listed"):
        values: list[int]

    with pytest.raises(TypeError, match=r"Listed\.values: a column cannot hold"):
        columns_of(Listed)


def test_numbers_by_column_leave_text_out_and_have_nan_for_none() -> None:
    found = columns(Sample, [GOOD, replace(GOOD, whole=2, flag=False, whole_or_none=7)])
    assert list(found) == ["whole", "share", "flag", "whole_or_none", "share_or_none", "flag_or_none"]
    assert found["whole"].tolist() == [1.0, 2.0]
    assert found["flag"].tolist() == [1.0, 0.0]
    assert np.array_equal(found["whole_or_none"], [np.nan, 7.0], equal_nan=True)
    assert {name: each.shape for name, each in columns(Sample, []).items()} == dict.fromkeys(found, (0,))
