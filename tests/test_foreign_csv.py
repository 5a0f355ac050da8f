"""CSV files of other programs: what is read of them, and what is said where nothing can be."""

from __future__ import annotations

from pathlib import Path

import pytest

from hpcli.errors import DataError, UsageError
from hpcli.foreign_csv import open_csv


def read(path: Path, *names: str) -> list[tuple[str, ...]]:
    with open_csv(path) as file:
        return [record.cells for record in file.rows(*names)]


@pytest.mark.parametrize(
    "data",
    [
        b"lr,val loss\n0.1,0.5\n",
        b"\xef\xbb\xbflr,val loss\r\n0.1,0.5\r\n",  # Excel's UTF-8
        b"lr\tval loss\r0.1\t0.5",
        b"lr;val loss\n0.1;0.5\n",
        b"sep=;\nlr;val loss\n0.1;0.5\n",
        b"# made on Monday\n\nlr , val loss\n# again\n 0.1, 0.5 \n\n",
        b'"lr","val loss","note"\n"0.1","0.5","of\n# several ""lines"""\n',
        b"note,lr,val loss\n,0.1,0.5,,\n",
        "lr\tval loss\r\n0.1\t0.5\r\n".encode("utf-16"),
    ],
)
def test_whatever_wrote_it(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(data)
    assert read(path, "lr", "val loss") == [("0.1", "0.5")]


def test_numbers_as_they_are_written(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("loss;n\n0,93;1\n1e-4;2\n-,5E1;3\nInfinity;4\n1_0;5\n")
    with open_csv(path) as file:
        records = list(file.rows("loss", "n"))
        found = [file.number(each, "loss", each.cells[0]) for each in records[:4]]
        assert found == [0.93, 1e-4, -5.0, float("inf")]
        with pytest.raises(DataError, match=r"a\.csv:6: loss: '1_0' is no number"):
            file.number(records[4], "loss", records[4].cells[0])
    path.write_text('loss,n\n"0,93",1\n')
    with open_csv(path) as file:
        (record,) = file.rows("loss")
        with pytest.raises(DataError, match=r"a\.csv:2: loss: '0,93' is no number"):
            file.number(record, "loss", record.cells[0])


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "a.csv: empty"),
        (b"\n\n# nothing\n", "a.csv: empty"),
        (b"0.1,0.5\n0.2,0.6\n", r"a.csv:1: its first line names no columns \(0.1, 0.5\)"),
        (b"lr,loss\n0.1,0.5\n0.2,0,6\n", "a.csv:3: 3 cells under 2 columns; put quotes around a cell that has a comma"),
        (bytes(range(128, 256)), "a.csv: not UTF-8 text, after line 0; save it as UTF-8"),
        ("lr,größe\n0.1,0.5\n".encode("latin-1"), "not UTF-8 text"),
        (b"lr,loss\n0.1,\0\n", "a.csv:2: not text"),
        (b"lr,loss\n" + b"1" * 2**21, "a.csv:2: not text"),
        (b'lr,loss\n0.1,"0.5\n', "a.csv:3: unexpected end of data; is it a CSV file?"),
    ],
)
def test_what_is_no_table(data: bytes, says: str, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(data)
    with pytest.raises(DataError, match=says):
        read(path, "lr", "loss")


def test_columns_are_found_or_named(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("lr,val_loss,lr,,seed\n1,2,3,4,5\n")
    with open_csv(path) as file:
        assert file.find("--loss", " val_loss", "loss") == "val_loss"
        assert file.find_any("--seed", None, "seed", but=()) == "seed"
        assert file.find_any("--seed", None, "seed", but=("seed",)) is None
        assert file.find_any("--step", None, "step", but=()) is None
        for option, name, says in [
            ("--loss", "val_los", "--loss val_los: .*a.csv has no such column; did you mean val_loss?"),
            ("--loss", None, "a.csv: no column loss; name yours by --loss, one of lr, val_loss, lr, seed"),
            ("--lr", "lr", "--lr lr: .* has two columns of that name"),
        ]:
            with pytest.raises(UsageError, match=says):
                file.find(option, name, "loss")
        with pytest.raises(UsageError, match="named by another option, too"):
            file.find_any("--seed", "seed", "seed", but=("seed",))


def test_of_very_many_columns_the_first_are_named(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(",".join(f"column{n}" for n in range(500)) + "\n")
    with open_csv(path) as file, pytest.raises(UsageError) as error:
        file.find("--lr", "zzz", "lr")
    assert len(str(error.value)) < 500
    assert str(error.value).endswith("column16 … and 483 more")


def test_what_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"nothing\.csv: cannot be read: No such file"):
        read(tmp_path / "nothing.csv")
    (tmp_path / "sweep.csv").touch()
    with pytest.raises(UsageError, match=r"a folder; name a CSV file in it: sweep\.csv"):
        read(tmp_path)
    with pytest.raises(DataError, match="/dev/zero:1: not text"):
        read(Path("/dev/zero"))
