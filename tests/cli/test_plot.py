"""`hpcli plot`: the pictures of a run from its folder alone."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from hpcli import plots
from hpcli.cli import main
from hpcli.errors import HpcliWarning
from hpcli.plots.colours import DARK_PAPER
from hpcli.plots.saving import save
from hpcli.recording.disk import DiskRecorder
from hpcli.runs.run import Run


@pytest.mark.parametrize(
    ("run", "names"),
    [
        ("train", ["accuracy", "batch", "loss", "schedule"]),
        ("sweep", ["sweep", "sweep_curves"]),
        ("lr-find", ["lr_find"]),
    ],
)
def test_they_are_the_commands_own_to_the_byte(runs: Path, tmp_path: Path, run: str, names: list[str]) -> None:
    assert main(["plot", str(runs / run), "--out", str(tmp_path / "new")]) == 0
    assert sorted(file.stem for file in (tmp_path / "new").iterdir()) == names
    for name in names:
        assert (tmp_path / f"new/{name}.png").read_bytes() == (runs / run / f"{name}.png").read_bytes()


def test_in_the_folder_itself_a_lost_picture_comes_back(runs: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(runs / "train", tmp_path / "copy")
    before = (copy / "loss.png").read_bytes()
    (copy / "loss.png").unlink()
    assert main(["plot", str(copy)]) == 0
    assert (copy / "loss.png").read_bytes() == before


def test_a_dark_one_beside_the_light_one(runs: Path, tmp_path: Path) -> None:
    assert main(["plot", str(runs / "train"), "--dark", "--out", str(tmp_path)]) == 0
    picture = Image.open(tmp_path / "loss-dark.png").convert("RGB")
    assert "#{:02x}{:02x}{:02x}".format(*picture.getpixel((2, picture.height - 3))) == DARK_PAPER  # type: ignore[misc]


def test_an_svg_has_words_and_is_the_same_each_time(runs: Path, tmp_path: Path) -> None:
    for folder in ("one", "two"):
        assert main(["plot", str(runs / "sweep"), "--format", "svg", "--out", str(tmp_path / folder)]) == 0
    one, two = ((tmp_path / folder / "sweep.svg").read_bytes() for folder in ("one", "two"))
    assert one == two
    assert b">shallow3 on digits, adamw, seeds from 0<" in one
    assert main(["plot", str(runs / "sweep"), "--format", "pdf", "--out", str(tmp_path)]) == 0
    assert (tmp_path / "sweep.pdf").read_bytes()[:5] == b"%PDF-"


def test_torch_is_not_imported(runs: Path, tmp_path: Path) -> None:
    code = "import sys; from hpcli.cli import main; code = main(sys.argv[1:]); sys.exit(code or 'torch' in sys.modules)"
    command = [sys.executable, "-c", code, "plot", str(runs / "sweep"), "--out", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr.split() == [str(tmp_path / "sweep.png"), str(tmp_path / "sweep_curves.png")]


def test_what_cannot_be_drawn_says_so(runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plot", str(tmp_path)]) == 2
    assert "not a run folder" in capsys.readouterr().err
    copy = shutil.copytree(runs / "train", tmp_path / "copy")
    (copy / "metrics.csv").write_text("epoch,step\n1,2\n")
    assert main(["plot", str(copy)]) == 4
    assert f"error: {copy}/metrics.csv" in capsys.readouterr().err
    (tmp_path / "file").write_text("")
    assert main(["plot", str(runs / "train"), "--out", str(tmp_path / "file")]) == 7
    assert main(["plot", str(runs / "train"), "--format", "gif"]) == 2


def test_a_run_that_has_nothing_to_draw_yet_says_how_it_stands(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A sweep that was stopped before its first trial was over."""
    with DiskRecorder.create("sweep-wd", Run.open(runs / "sweep").config, tmp_path / "begun"):
        assert main(["plot", str(tmp_path / "begun")]) == 3
        line = f"error: {tmp_path}/begun: nothing to draw yet; the run is running\n"
        assert capsys.readouterr().err == line


def test_letters_that_no_font_has_are_a_line(runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    copy = shutil.copytree(runs / "train", tmp_path / "copy")
    figures = plots.figures(Run.open(copy).result)
    figures["loss"].text(0, 0, "\U00013000\U00013001")
    with pytest.warns(HpcliWarning, match=r"loss\.png: the font lacks 2 of its characters") as said:
        save(figures["loss"], tmp_path / "loss.png")
    assert len(said) == 1
