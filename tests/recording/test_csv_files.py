from __future__ import annotations

import os
from pathlib import Path

import pytest

from hpcli.errors import CheckpointError
from hpcli.run_dir.tables import Tables, read_rows


def filled(folder: Path, rows: int = 3) -> Tables:
    tables = Tables(folder)
    for step in range(rows):
        tables.append("steps", {"step": step, "lr": 0.1 / (step + 1), "note": None})
    return tables


def test_rows_come_back_as_they_went(tmp_path: Path) -> None:
    tables = filled(tmp_path)
    tables.append("words", {"text": 'a,"b"\n', "nan": float("nan"), "tiny": 1e-300})
    assert tables.rows("steps")[2] == {"step": 2, "lr": 0.1 / 3, "note": None}
    assert (tmp_path / "steps.csv").read_text().splitlines()[:2] == ["step,lr,note", "0,0.1,"]
    row = tables.rows("words")[0]
    assert row["text"] == 'a,"b"\n'
    assert row["nan"] != row["nan"]
    assert row["tiny"] == 1e-300
    assert tables.rows("nothing") == []


def test_a_row_is_one_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tables = filled(tmp_path)
    writes: list[bytes] = []
    write = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: (writes.append(data), write(fd, data))[1])
    tables.append("steps", {"step": 3, "lr": 0.5, "note": "x"})
    assert writes == [b"3,0.5,x\n"]


def test_the_columns_are_fixed_by_the_first_row(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="has the columns"):
        filled(tmp_path).append("steps", {"step": 3, "loss": 0.5})


@pytest.mark.parametrize("junk", ["", "3,0.0", "3,0.025,\n4,0.02,\n", "\0\0\0\0", "3,0.025,\n\0\0"])
def test_what_came_after_a_checkpoint_is_cut_off(tmp_path: Path, junk: str) -> None:
    tables = filled(tmp_path)
    sizes, content = tables.sizes(), (tmp_path / "steps.csv").read_bytes()
    tables.append("metrics", {"epoch": 0})
    with (tmp_path / "steps.csv").open("a") as file:
        file.write(junk)
    resumed = Tables(tmp_path)
    resumed.cut_back(sizes)
    assert (tmp_path / "steps.csv").read_bytes() == content
    assert not (tmp_path / "metrics.csv").exists()
    resumed.append("steps", {"step": 3, "lr": 0.025, "note": None})
    assert [row["step"] for row in resumed.rows("steps")] == [0, 1, 2, 3]


def test_a_table_that_lost_rows_is_refused(tmp_path: Path) -> None:
    tables = filled(tmp_path)
    sizes = tables.sizes()
    os.truncate(tmp_path / "steps.csv", 10)
    with pytest.raises(CheckpointError, match=r"steps\.csv: shorter"):
        Tables(tmp_path).cut_back(sizes)
    (tmp_path / "steps.csv").unlink()
    with pytest.raises(CheckpointError, match=r"steps\.csv: shorter"):
        Tables(tmp_path).cut_back(sizes)


def test_an_unterminated_tail_is_not_a_row(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a,b\n1,2\n3,")
    assert read_rows(tmp_path / "t.csv") == [{"a": 1, "b": 2}]


def test_a_table_of_an_earlier_process_is_gone_on_with(tmp_path: Path) -> None:
    """Its header stays, and a row that a crash tore is dropped."""
    first = Tables(tmp_path)
    first.append("line", {"alpha": 0.0, "loss": 1.5})
    first.close()
    with (tmp_path / "line.csv").open("a") as file:
        file.write("0.5,2.")
    second = Tables(tmp_path)
    second.append("line", {"alpha": 0.5, "loss": 2.5})
    with pytest.raises(ValueError, match="has the columns"):
        second.append("line", {"alpha": 1.0, "accuracy": 0.5})
    second.close()
    assert (tmp_path / "line.csv").read_text() == "alpha,loss\n0.0,1.5\n0.5,2.5\n"
