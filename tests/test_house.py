"""The rules of the house: which way imports point, how long files and functions are, what is stated in one place."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

import hpcli
from hpcli import catalog
from hpcli.config import Momentum, load_config
from hpcli.config.keys import fields, find_field
from hpcli.errors import ConfigError
from hpcli.states import BatchNorm, Judgement, Refusal, RunStatus
from hpcli.training.schedules import training_schedule

HOUSE = Path(hpcli.__file__).parent
FILES = sorted(HOUSE.rglob("*.py"))
WORDS = {word.value for kind in (RunStatus, Judgement, Refusal) for word in kind}


def name_of(path: Path) -> str:
    return str(path.relative_to(HOUSE))


def lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).parent / "lint-imports"), "--no-cache", "--config", "pyproject.toml"]
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, env=environment)


@pytest.fixture(scope="module")
def copied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the house, to try things in."""
    folder = tmp_path_factory.mktemp("house")
    shutil.copytree(HOUSE, folder / "hpcli", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(HOUSE.parent / "configs", folder / "configs")
    shutil.copy(HOUSE.parent / "pyproject.toml", folder)
    return folder


def test_imports_point_down_and_in_no_circle(copied: Path) -> None:
    done = lint_imports(copied)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("file", "line", "contract"),
    [
        ("training/step.py", "from hpcli.cli.terminal import Terminal", "Imports point down"),
        ("analysis/curves.py", "from hpcli.config import Config", "Judgement is pure"),
        ("plots/style.py", "import torch", "never import torch"),
        ("recording/rows.py", "from hpcli.recording.csv_text import read_rows", "No circles"),
    ],
)
def test_a_wrong_import_is_found(copied: Path, file: str, line: str, contract: str) -> None:
    path = copied / "hpcli" / file
    before = path.read_text()
    path.write_text(before + f"\n\ndef probe() -> None:\n    {line}\n")
    try:
        done = lint_imports(copied)
    finally:
        path.write_text(before)
    assert done.returncode == 1
    assert any(contract in found and "BROKEN" in found for found in done.stdout.splitlines()), done.stdout


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_files_and_functions_stay_short(path: Path) -> None:
    text = path.read_text()
    assert text.count("\n") <= 250
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            length = (node.end_lineno or 0) - node.lineno + 1
            documented = len((ast.get_docstring(node, clean=False) or "").splitlines())
            assert length - documented <= 40, f"{node.name} in {path.name}"


def test_there_is_one_training_loop() -> None:
    """`backward` is called in one place, and that place in one loop."""
    assert [path.name for path in FILES if ".backward()" in path.read_text()] == ["step.py"]
    assert [path.name for path in FILES if "self.take_step(" in path.read_text()] == ["trainer.py"]


@pytest.mark.parametrize(
    ("key", "names"), [("schedule.name", catalog.SCHEDULES), ("data.name", catalog.DATASETS)], ids=["schedule", "data"]
)
def test_a_key_lists_the_names_of_its_catalog(key: str, names: dict[str, str]) -> None:
    field = find_field(key)
    assert field is not None
    assert not [name for name in names if name not in (field.description or "")], f"{key} in config/schema.py"


def test_momenta_cycle_in_the_schedules_that_say_so() -> None:
    """A pair of momenta is refused to all others, which would train at the higher one alone."""
    for name in catalog.SCHEDULES:
        if name in catalog.MOMENTUM_CYCLES:
            config = load_config(overrides={"schedule.name": name, "schedule.momentum": Momentum(0.9, 0.8)})
            assert training_schedule(config, 20).momentum.min() == pytest.approx(0.8, abs=0.02), name
        else:
            with pytest.raises(ConfigError, match=f"the pair 0.9-0.8 needs a learning rate that cycles, and {name}"):
                load_config(overrides={"schedule.name": name, "schedule.momentum": Momentum(0.9, 0.8)})


def literals(path: Path) -> Iterator[tuple[str, int]]:
    """Texts that code computes with: no docstrings, and no arguments that matplotlib calls by the same words."""
    tree = ast.parse(path.read_text())
    passed_on = {
        id(keyword.value) for node in ast.walk(tree) if isinstance(node, ast.Call)
        for keyword in node.keywords if keyword.arg in ("loc", "aspect")
    }  # fmt: skip
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in passed_on:
            yield node.value, node.lineno


KEYS_OF_SUMMARIES = {
    ("results/sweep.py", "best"),
    ("results/sweep.py", "failed"),
    ("results/tune.py", "failed"),
    ("results/foreign_verdict.py", "best"),
    ("results/facts.py", "best"),
    ("cli/session.py", "failed"),
    ("recording/folder_recorder.py", "failed"),
}
"""Facts of summary.json whose names happen to be words of states."""


def test_states_are_spelt_in_one_file() -> None:
    found = {(name_of(path), text) for path in FILES if path.name != "states.py" for text, _ in literals(path)}
    assert {each for each in found if each[1] in WORDS} <= KEYS_OF_SUMMARIES


def test_no_code_reads_sentences() -> None:
    """A state is compared with an enum: nothing looks at how a text begins, but for paths, flags and quotes."""
    allowed = {
        "cli/options.py",
        "config/keys.py",
        "config/faults.py",
        "config/editing.py",
        "models/hub.py",
        "cli/keys.py",
        "cli/app.py",
    }
    found = {name_of(path) for path in FILES if ".startswith(" in path.read_text()}
    assert found <= allowed | {"data/decode.py", "data/listing.py"}


def test_constants_of_one_name_have_one_value() -> None:
    values: dict[str, set[object]] = defaultdict(set)
    for path in FILES:
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant):
                for target in node.targets:
                    if isinstance(target, ast.Name) and target.id.isupper():
                        values[target.id].add(node.value.value)
    assert values["FORMAT"] == {3}
    assert {name for name, found in values.items() if len(found) > 1} <= {"VERSION"}


def test_untyped_dicts_are_few() -> None:
    lines = [line for path in FILES for line in path.read_text().splitlines() if "dict[str, Any]" in line]
    assert len(lines) < 15


def test_contributing_shows_the_tree() -> None:
    text = (HOUSE.parent / "CONTRIBUTING.md").read_text()
    for path in FILES:
        if not path.name.startswith("__"):
            assert f" {path.name} " in text, name_of(path)


def test_every_key_is_documented() -> None:
    assert all(field.description for _, field in fields())


def test_everything_public_is_importable() -> None:
    for name in hpcli.__all__:
        assert getattr(hpcli, name) is not None
    with pytest.raises(AttributeError, match="fit"):
        _ = hpcli.fit  # type: ignore[attr-defined]


def test_the_wheel_is_typed() -> None:
    assert (HOUSE / "py.typed").exists()
    assert (HOUSE / "__init__.pyi").exists()


def test_batchnorm_modes_are_those_of_the_config() -> None:
    assert {mode.value for mode in BatchNorm} == {"recompute", "interpolate"}


TOY = {
    "results/tally.py": '''
from __future__ import annotations

from dataclasses import dataclass

from hpcli.config import Config
from hpcli.recording.recorder import Record, Rows
from hpcli.recording.rows import Columns, Row, columns
from hpcli.results import Summary
from hpcli.states import RunStatus


@dataclass(frozen=True)
class Tally(Row, table="tally"):
    label: int
    images: int


@dataclass(frozen=True)
class TallyResult:
    config: Config
    status: RunStatus
    counts: Columns
    following: None = None

    @classmethod
    def from_rows(cls, config: Config, status: RunStatus, rows: Rows) -> TallyResult:
        return cls(config, status, columns(Tally, rows.rows(Tally)))

    @classmethod
    def from_run(cls, run: Record) -> TallyResult:
        return cls.from_rows(run.config, run.status, run)

    def summary(self) -> Summary:
        return {"images": int(self.counts["images"].sum())}
''',
    "experiments/tally.py": '''
from __future__ import annotations

import numpy as np

from hpcli.results.tally import Tally, TallyResult
from hpcli.states import RunStatus


def tally(config, *, recorder, on_progress, device, splits):
    for label, images in enumerate(np.bincount(splits.train.labels).tolist()):
        recorder.add(Tally(label, images))
    return TallyResult.from_rows(config, RunStatus.FINISHED, recorder)
''',
    "plots/tally.py": '''
from __future__ import annotations

from matplotlib.figure import Figure

from hpcli.plots.style import styled


def figures(result):
    return {"tally": bars(result)}


@styled
def bars(result):
    figure = Figure()
    figure.subplots().bar(result.counts["label"], result.counts["images"])
    return figure
''',
    "cli/tally.py": '''
from __future__ import annotations

from hpcli.cli.command import Call, command


@command(["data.train_fraction"])
def tally(call: Call) -> int:
    """Count the training images of each class."""
    return call.session().run()
''',
}  # fmt: skip


USED = """
import hpcli
from hpcli.cli import main

main(["--help"])
for arguments in (
    ["tally", "--help"],
    ["tally", "--dry-run"],
    ["tally", "--train-fraction", "0.5", "--out", "one"],
    ["tally", "-c", "one/config.yaml", "--out", "two", "-q"],
):
    assert main(arguments) == 0
run = hpcli.Run.open("one")
print(run.result.summary(), list(hpcli.plots.figures(run.result)))
"""


def test_a_command_is_added_as_contributing_says(copied: Path) -> None:
    """Four files and a line: its options, run folder, picture, dry run, repetition and reading back come by themselves."""
    added = [copied / "hpcli" / file for file in TOY]
    for path, text in zip(added, TOY.values(), strict=True):
        path.write_text(f'"""A toy."""\n{text}')
    registry = copied / "hpcli/commands.py"
    before = registry.read_text()
    line = '    "tally": Experiment("tally", "TallyResult", "Count the training images of each class."),\n'
    registry.write_text(before.replace("COMMANDS = {\n", f"COMMANDS = {{\n{line}"))

    try:
        done = subprocess.run(
            [sys.executable, "-c", USED], cwd=copied, capture_output=True, text=True, check=False,
            env={**os.environ, "PYTHONPATH": str(copied), "NO_COLOR": "1", "COLUMNS": "200"},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert "Count the training images" in done.stdout
        assert "--train-fraction" in done.stdout
        assert re.search(r"train images +1151 ", done.stdout)  # the plan
        assert re.search(r"\n images +575 ", done.stdout)  # the run
        assert (copied / "one/tally.csv").read_bytes() == (copied / "two/tally.csv").read_bytes()
        assert (copied / "one/tally.png").exists()
        assert done.stdout.endswith("{'images': 575} ['tally']\n")
        assert lint_imports(copied).returncode == 0
    finally:
        registry.write_text(before)
        for path in added:
            path.unlink()
