from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from hpcli.errors import CheckpointError
from hpcli.recording.csv_files import CsvFiles
from hpcli.recording.csv_text import last_row, read_rows
from hpcli.recording.rows import Row


@dataclass(frozen=True)
class Step(Row, table="steps"):
    step: int
    lr: float
    note: str | None = None


@dataclass(frozen=True)
class Epoch(Row, table="metrics"):
    epoch: int


@dataclass(frozen=True)
class Words(Row, table="words"):
    text: str
    nan: float
    tiny: float


@dataclass(frozen=True)
class Line(Row, table="line"):
    alpha: float
    loss: float


@dataclass(frozen=True)
class OtherLine(Row, table="line"):
    alpha: float
    accuracy: float


def filled(folder: Path, rows: int = 3) -> CsvFiles:
    files = CsvFiles(folder)
    for step in range(rows):
        files.append(Step(step, 0.1 / (step + 1)))
    return files


def test_rows_come_back_as_they_went(tmp_path: Path) -> None:
    files = filled(tmp_path)
    files.append(Words('a,"b"\n', float("nan"), 1e-300))
    assert files.rows(Step)[2] == Step(2, 0.1 / 3, None)
    assert (tmp_path / "steps.csv").read_text().splitlines()[:2] == ["step,lr,note", "0,0.1,"]
    (row,) = files.rows(Words)
    assert row.text == 'a,"b"\n'
    assert row.nan != row.nan
    assert row.tiny == 1e-300
    assert files.rows(Epoch) == []


def test_rows_that_come_soon_after_another_are_one_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now, writes, write = [1000.0], list[bytes](), os.write
    monkeypatch.setattr("hpcli.recording.csv_files.time.monotonic", lambda: now[0])
    files = filled(tmp_path)
    assert [row.step for row in read_rows(tmp_path / "steps.csv", Step)] == [0]  # the first of a table at once

    def watched(descriptor: int, data: bytes) -> int:
        writes.append(data)
        return write(descriptor, data)

    monkeypatch.setattr(os, "write", watched)
    files.append(Step(3, 0.5, "x"))
    assert writes == []
    now[0] += 0.6
    files.append(Step(4, 0.5, "y"))
    assert writes == [b"1,0.05,\n2,0.03333333333333333,\n3,0.5,x\n4,0.5,y\n"]
    files.append(Step(5, 0.5))
    files.append(Epoch(0))
    assert len(read_rows(tmp_path / "metrics.csv", Epoch)) == 1
    assert files.sizes() == {name: (tmp_path / f"{name}.csv").stat().st_size for name in ("steps", "metrics")}
    assert files.rows(Step)[-1] == Step(5, 0.5)


def test_a_disk_that_takes_part_of_a_row_is_given_the_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it is full by then, the row is torn, and the next process goes on without it."""
    files, write, calls = filled(tmp_path), os.write, [0]
    files.write()

    def short(descriptor: int, data: bytes) -> int:
        calls[0] += 1
        if calls[0] == 4:
            raise OSError(28, "No space left on device")
        return write(descriptor, data[:3] if calls[0] % 2 else data)

    monkeypatch.setattr(os, "write", short)
    files.append(Step(3, 0.5, "x"))
    assert files.rows(Step)[3] == Step(3, 0.5, "x")
    with pytest.raises(OSError, match="No space"):
        files.append(Step(4, 0.5, "x"))
        files.write()
    assert (tmp_path / "steps.csv").read_bytes().endswith(b"3,0.5,x\n4,0")
    monkeypatch.undo()
    CsvFiles(tmp_path).append(Step(4, 0.25))
    assert [row.step for row in files.rows(Step)] == [0, 1, 2, 3, 4]


def test_the_columns_are_those_of_the_declaration(tmp_path: Path) -> None:
    """Also of a table without rows; a file with other columns is neither read as it nor gone on with."""
    files = CsvFiles(tmp_path)
    files.replace(Step, [])
    assert (tmp_path / "steps.csv").read_bytes() == b"step,lr,note\n"
    assert files.rows(Step) == []
    files.append(Line(0.0, 1.5))
    files.close()
    before = (tmp_path / "line.csv").read_bytes()
    with pytest.raises(CheckpointError, match=r"line\.csv:1: it has no column accuracy"):
        read_rows(tmp_path / "line.csv", OtherLine)
    with pytest.raises(CheckpointError, match=r"line\.csv:1: its columns are alpha,loss, not alpha,accuracy"):
        CsvFiles(tmp_path).append(OtherLine(1.0, 0.5))
    assert (tmp_path / "line.csv").read_bytes() == before


def test_a_table_that_an_older_hpcli_began_has_its_columns_to_the_end(tmp_path: Path) -> None:
    """What came later is missing in it; whoever reads it and whoever goes on with it is told so by its first line."""
    old, path = b"step,lr\n0,0.5\n", tmp_path / "steps.csv"
    path.write_bytes(old)
    assert read_rows(path, Step) == [Step(0, 0.5)]
    assert last_row(path, Step) == Step(0, 0.5)
    files = CsvFiles(tmp_path)
    files.append(Step(1, 0.25, "x"))
    files.close()
    assert path.read_bytes() == old + b"1,0.25\n"
    files.cut_back({"steps": len(old)})
    files.append(Step(1, 0.125, "y"))
    assert files.rows(Step) == [Step(0, 0.5), Step(1, 0.125)]
    files.replace(Step, [Step(0, 0.5)])
    files.append(Step(1, 0.125, "y"))
    assert files.rows(Step) == [Step(0, 0.5), Step(1, 0.125, "y")]
    files.close()
    path.write_bytes(b"lr,step\n0.5,0\n")
    with pytest.raises(CheckpointError, match="its columns are lr,step, not step,lr,note"):
        CsvFiles(tmp_path).append(Step(1, 0.25))


def test_columns_are_found_by_name(tmp_path: Path) -> None:
    """Whatever their order, and whatever else is there: a spreadsheet may have saved the file."""
    (tmp_path / "line.csv").write_bytes(b"loss,mine,alpha\r\n1.5,x,0.0\r\n2.5,y,0.5\r\n")
    assert read_rows(tmp_path / "line.csv", Line) == [Line(0.0, 1.5), Line(0.5, 2.5)]


@pytest.mark.parametrize("junk", ["", "3,0.0", "3,0.025,\n4,0.02,\n", "\0\0\0\0", "3,0.025,\n\0\0", '3,0.1,"a\nb'])
def test_what_came_after_a_checkpoint_is_cut_off(tmp_path: Path, junk: str) -> None:
    files = filled(tmp_path)
    sizes, content = files.sizes(), (tmp_path / "steps.csv").read_bytes()
    files.append(Epoch(0))
    with (tmp_path / "steps.csv").open("a") as file:
        file.write(junk)
    resumed = CsvFiles(tmp_path)
    resumed.cut_back(sizes)
    assert (tmp_path / "steps.csv").read_bytes() == content
    assert not (tmp_path / "metrics.csv").exists()
    resumed.append(Step(3, 0.025))
    assert [row.step for row in resumed.rows(Step)] == [0, 1, 2, 3]


def test_a_table_that_lost_rows_is_refused(tmp_path: Path) -> None:
    files = filled(tmp_path)
    sizes = files.sizes()
    os.truncate(tmp_path / "steps.csv", 10)
    with pytest.raises(CheckpointError, match=r"steps\.csv: shorter"):
        CsvFiles(tmp_path).cut_back(sizes)
    (tmp_path / "steps.csv").unlink()
    with pytest.raises(CheckpointError, match=r"steps\.csv: shorter"):
        CsvFiles(tmp_path).cut_back(sizes)


@pytest.mark.parametrize("tail", ["3,", "3,0.5,", '3,0.5,"a\n', '3,0.5,"a\n""b\n""'])
def test_an_unterminated_tail_is_not_a_row(tmp_path: Path, tail: str) -> None:
    (tmp_path / "steps.csv").write_text(f'step,lr,note\n1,0.5,"a\n""b\n"\n{tail}')
    assert read_rows(tmp_path / "steps.csv", Step) == [Step(1, 0.5, 'a\n"b\n')]


def test_a_table_of_an_earlier_process_is_gone_on_with(tmp_path: Path) -> None:
    """Its header stays, and a row that a crash tore is dropped."""
    first = CsvFiles(tmp_path)
    first.append(Line(0.0, 1.5))
    first.close()
    with (tmp_path / "line.csv").open("a") as file:
        file.write("0.5,2.")
    second = CsvFiles(tmp_path)
    second.append(Line(0.5, 2.5))
    with pytest.raises(TypeError, match="loss: 'much' is a str, the column holds float"):
        second.append(Line(1.0, "much"))  # type: ignore[arg-type]
    second.close()
    assert (tmp_path / "line.csv").read_text() == "alpha,loss\n0.0,1.5\n0.5,2.5\n"


def test_a_header_that_was_torn_is_written_anew(tmp_path: Path) -> None:
    (tmp_path / "line.csv").write_text("alp")
    files = CsvFiles(tmp_path)
    assert files.rows(Line) == []
    files.append(Line(0.0, 1.5))
    assert (tmp_path / "line.csv").read_text() == "alpha,loss\n0.0,1.5\n"


def test_rows_added_after_a_table_was_replaced_join_it(tmp_path: Path) -> None:
    files = filled(tmp_path)
    files.replace(Step, [Step(7, 0.5)])
    files.append(Step(8, 0.25))
    assert [row.step for row in files.rows(Step)] == [7, 8]
    assert files.sizes() == {"steps": (tmp_path / "steps.csv").stat().st_size}


def test_a_table_that_is_replaced_is_never_half_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = filled(tmp_path)
    before = (tmp_path / "steps.csv").read_bytes()

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        files.replace(Step, [Step(7, 0.5)])
    assert (tmp_path / "steps.csv").read_bytes() == before


JUNK = {
    b"1,0.5,\nx,0.5,\n": r":3: step: 'x' is not of type int",
    b"1,0.5,\n1.5,0.5,\n": r":3: step: '1\.5' is not of type int",
    b"1,,\n": r":2: lr: '' is not of type float",
    b"1,0.5\n": r":2: 2 fields under 3 columns",
    b"1,0.5,,\n": r":2: 4 fields under 3 columns",
    b"1,0.5,a\n\n": r":3: 0 fields under 3 columns",
    b'1,0.5,"a"b\n': r":2: .*expected after",
    b"1,0.5,a\n2,0.5,\xff\n": r":3: .*not UTF-8",
    b"1,0.5,\"a\nb\"\nx,0.5,\n": r":4: step: 'x'",
}  # fmt: skip


@pytest.mark.parametrize(("junk", "fault"), JUNK.items())
def test_junk_is_an_error_that_names_file_line_and_column(tmp_path: Path, junk: bytes, fault: str) -> None:
    path = tmp_path / "steps.csv"
    path.write_bytes(b"step,lr,note\n" + junk)
    with pytest.raises(CheckpointError, match=rf"steps\.csv{fault}.*; restore the file, or start anew") as found:
        read_rows(path, Step)
    assert str(path) in str(found.value)
    assert "\n" not in str(found.value)


def test_a_stray_quote_in_a_long_table_is_answered_quickly(tmp_path: Path) -> None:
    path = tmp_path / "steps.csv"
    path.write_bytes(b'step,lr,note\n0,0.5,\n1,0.5,"\n' + b"2,0.5,\n" * 200_000)
    started = time.process_time()
    assert read_rows(path, Step) == [Step(0, 0.5)]
    assert time.process_time() - started < 2


def test_the_last_row_is_read_from_the_end_of_a_table(tmp_path: Path) -> None:
    files, path = CsvFiles(tmp_path), tmp_path / "steps.csv"
    assert last_row(path, Step) is None
    for step in range(100):
        files.append(Step(step, 1e-3))
        files.write()
        assert last_row(path, Step) == Step(step, 1e-3)
    files.close()
    with path.open("a") as file:
        file.write("100,0.0")  # it is being written
    assert last_row(path, Step) == Step(99, 1e-3)
    path.write_text("step,lr,note\n")
    assert last_row(path, Step) is None
    path.write_text("step,lr\n1,x\n")
    assert last_row(path, Step) is None
