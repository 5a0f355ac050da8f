"""Classes and folders may be called anything: no name is a number, a colour, mathematics or YAML."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from hpcli import Run, evaluate, load_config, plots
from hpcli.cli import main
from hpcli.data.dataset import ImageData, Split, Splits
from hpcli.errors import HpcliWarning
from hpcli.plots.style import plain
from hpcli.recording.disk import DiskRecorder
from hpcli.results.evaluate import EvaluateResult
from hpcli.training.trainer import Trainer
from hpcli.views.summary import fact_tables

NAMES = (
    "$5$",
    "Ba$$in",
    "[red]",
    "[bold]",
    "007",
    "1_000",
    "nan",
    "None",
    "1",
    "cat",
    "a,b",
    'quo"te',
    "#x",
    "x: y",
    "\\$a^2$",
)
FAST = ["--set=model.name=shallow3", "--set=data.batch_size=4", "--device=cpu"]


def write(root: Path, classes: tuple[str, ...]) -> Path:
    random = np.random.default_rng(0)
    for name in classes:
        (root / "train" / name).mkdir(parents=True)
        for number in range(4):
            Image.fromarray(random.integers(0, 256, (8, 8), np.uint8)).save(root / "train" / name / f"{number}.png")
    return root


@pytest.mark.parametrize("root", ["2024", "a: b", "[x]", "007", "1e3", "null", "true", "#c", "- d"])
def test_a_folder_of_any_name_is_a_folder(root: str, capsys: pytest.CaptureFixture[str]) -> None:
    write(Path(root), ("cat", "dog"))
    words = ["--set", "data.name=folder", "--set", f"data.root=./{root}" if root == "null" else f"data.root={root}"]
    if root == "null":
        assert main(["train", "--dry-run", "--set=data.name=folder", "--set=data.root=null", *FAST]) in (0, 2)
    assert main(["train", "--dry-run", *words, *FAST]) == 0
    config = load_config(overrides={"data.name": "folder", "data.root": root})
    with DiskRecorder.create("train", config, Path("made")):
        pass
    assert Run.open("made").config.data.root == root


def test_classes_of_any_name_are_trained_shown_drawn_and_read_back(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "images", NAMES)
    classes = tuple(sorted(NAMES))
    monkeypatch.setenv("COLUMNS", "200")
    data = [
        "--set=data.name=folder",
        f"--set=data.root={tmp_path / 'images'}",
        f"--set=data.cache_dir={tmp_path / 'c'}",
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # matplotlib's, of mathematics that it cannot read
        assert main(["train", "--epochs=1", "--out=run", *data, *FAST]) == 0
        assert main(["evaluate", "run", "--split=valid", "--out=scores", "--device=cpu", "-v"]) == 0
    shown = capsys.readouterr().out
    summary = json.loads(Path("scores/summary.json").read_text())
    for key in ("best_class", "worst_class"):
        assert summary[key] in classes
        assert summary[key] in shown
    result = Run.open("scores").result
    assert isinstance(result, EvaluateResult)
    assert result.classes == classes
    assert [score.class_ for score in result.scores] == list(classes)
    axes = plots.figures(result)["confusion"].axes[0]
    labels = [text.get_text() for text in axes.get_yticklabels()]
    assert labels == [plain(name) for name in classes]
    assert labels[classes.index("$5$")] == r"\$5\$"  # as matplotlib writes what is no mathematics


@pytest.mark.parametrize("name", ["[red]", "[/bold]", "x\x1b[31my", "$5$", "nan"])
def test_a_name_in_a_table_is_shown_letter_by_letter(name: str) -> None:
    console = Console(width=100, force_terminal=True, color_system="standard")
    with console.capture() as captured:
        for table in fact_tables("one", {"best_class": name, "list": [{"class": name}]}):
            console.print(table)
    assert captured.get().count(name.replace("\x1b", r"\x1b")) == 2
    assert "\x1b[31m" not in captured.get()


def test_characters_that_no_font_has_are_one_warning_a_picture(tmp_path: Path) -> None:
    images, labels = np.zeros((20, 8, 8, 1), np.uint8), np.arange(20) % 3
    part = Split(images, labels)
    source = ImageData(part, None, ("\U00013000", "\U00013001\U00013002", "dog"), (0.4,), (0.2,), flip=False)
    config = load_config(overrides={"model.name": "shallow3", "data.batch_size": 4})
    trainer = Trainer.from_config(config, splits=Splits(part, part, None, source), device="cpu")
    with DiskRecorder.create("evaluate", config, tmp_path / "run") as run:
        figures = plots.figures(evaluate(trainer, recorder=run))
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            for name, figure in figures.items():
                run.keep_figure(name, figure)
    assert [each.category for each in said] == [HpcliWarning] * len(figures)
    assert [*figures] == ["confusion", "mistakes"]
    assert (tmp_path / "run/confusion.png").stat().st_size > 1000
    assert (tmp_path / "run/evaluation.csv").read_text().count("\U00013000") >= 1
