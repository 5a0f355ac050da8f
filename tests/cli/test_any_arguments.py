"""Any command line is carried out, or refused in lines that fit a terminal: never a traceback, never a long wait."""

from __future__ import annotations

import io
import time
from contextlib import redirect_stderr, redirect_stdout
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from hpcli.cli import main
from hpcli.cli.app import build_app
from hpcli.commands import COMMANDS
from hpcli.config.keys import fields

pytestmark = pytest.mark.filterwarnings("ignore::hpcli.errors.HpcliWarning")

KEYS = [key for key, _ in fields()]
NUMBERS = [
    "0",
    "1",
    "-1",
    "3",
    "010",
    "0x10",
    "1e9",
    "9" * 20,
    "1e400",
    "nan",
    "inf",
    "-inf",
    "0.5",
    "1e-3",
    "1_0",
    "٣",
]
LISTS = [
    "a,b",
    "0,1",
    "1,,2",
    ",",
    "0:1:5",
    "0:1",
    "1:0:3",
    "::",
    "0.95-0.85",
    "0.85-0.95",
    "0.95-",
    "[1,2]",
    "[1",
    "{a: 1}",
]
NAMES = [
    "resnet20",
    "shallow3",
    "torchvision/resnet17",
    "timm/x",
    "os:getcwd",
    "digits",
    "cifar10",
    "one_cycle",
    "sgd",
    "auto",
    "true",
    "null",
    "~",
]
PATHS = [
    "run",
    "run:best",
    "run:x",
    "run:",
    "run/model.safetensors",
    "run/config.yaml",
    "c.yaml",
    "bad.yaml",
    "nul.yaml",
    "half.yaml",
    "photos",
    ".",
    "no/such",
]
ODD = [
    "",
    " ",
    "=",
    "-",
    "--",
    "'",
    '"',
    "$(x)",
    "%s",
    "{0}",
    "é",
    "日本",
    "\udcff",
    "\x1b[31m",
    "a\nb",
    "a" * 300,
    "cuda:9",
    "mps",
    "30m",
    "-3m",
]
WORDS = st.sampled_from([*NUMBERS, *LISTS, *NAMES, *PATHS, *ODD, *KEYS]) | st.text(
    st.characters(exclude_characters="\0"), max_size=6
)
CODES = {0, 2, 3, 4, 6, 7, 8}


@cache
def command(name: str) -> Any:
    """A command as the parser has it."""
    return typer.main.get_command(build_app([name])).commands[name]  # type: ignore[attr-defined]


@st.composite
def command_lines(draw: st.DrawFn) -> list[str]:
    """A command, its arguments and up to three of its options, each with any word; it trains nothing."""
    name = draw(st.sampled_from([*COMMANDS, "runs", "compare", "verdict", "suggest", "init", "keys"]))
    arguments = [each for each in command(name).params if each.param_type_name == "argument"]
    options = [each for each in command(name).params if each.param_type_name == "option"]
    line = [name, *(draw(WORDS) for _ in arguments if draw(st.integers(0, 4)))]
    for option in draw(st.lists(st.sampled_from(options), max_size=3)) if options else []:
        flag = draw(st.sampled_from([*option.opts, *option.secondary_opts]))
        if flag == "--set":
            line += [flag, f"{draw(st.sampled_from(KEYS))}={draw(WORDS)}"]
        elif flag not in ("--help", "--allow-code"):
            line += [flag] if option.is_flag else [flag, draw(WORDS)]
    trains = any("--dry-run" in option.opts for option in options)
    return [*line, "--dry-run", "--device", "cpu"] if trains else line


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run and configs, some of them broken."""
    folder = tmp_path_factory.mktemp("here")
    (folder / "c.yaml").write_text("train: {epochs: 2}\n")
    (folder / "bad.yaml").write_text("train: {epochs: x\n")
    (folder / "nul.yaml").write_text('init: {weights: "a\\0b"}\n')
    (folder / "half.yaml").write_text('init: {weights: "a\\uD800"}\n')
    small = ["--set=data.train_fraction=0.1", "--set=model.name=shallow3", "--device=cpu", "--epochs=1"]
    assert main(["train", "-q", f"--out={folder / 'run'}", *small]) == 0
    return folder


def carried_out(line: list[str]) -> tuple[int, str]:
    """Exit code, and what was said on stderr."""
    said = io.StringIO()
    with redirect_stdout(io.StringIO()), redirect_stderr(said):
        code = main(line)
    return code, said.getvalue()


def check(line: list[str]) -> None:
    """Nothing is wrong with how a command line was answered."""
    started = time.process_time()
    code, said = carried_out(line)
    assert code in CODES, (code, said)
    assert "Traceback" not in said
    errors = [each for each in said.splitlines() if each.startswith("error: ")]
    assert errors or code in (0, 6)
    assert all(len(each) <= 300 + max(map(len, line)) for each in errors)
    assert time.process_time() - started < 5


@settings(
    max_examples=150, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(line=command_lines())
@example(["sweep", "nothing.like.it", "--values", "1,2", "--dry-run"])
@example(["keys", "zzz"])
@example(["train", "-c", "nul.yaml", "--dry-run"])
@example(["train", "-c", "half.yaml", "--dry-run"])
@example(["tune", "--confirm", "0.95-", "--dry-run"])
@example(["lr-find", "--set", f"lr_find.end_lr={'a' * 300}", "--dry-run"])
def test_any_command_line_has_its_answer(here: Path, monkeypatch: pytest.MonkeyPatch, line: list[str]) -> None:
    monkeypatch.chdir(here)
    check(line)


@pytest.mark.torture
@settings(max_examples=5000, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(line=command_lines())
def test_very_many_command_lines(here: Path, monkeypatch: pytest.MonkeyPatch, line: list[str]) -> None:
    monkeypatch.chdir(here)
    check(line)
