"""The rules of the house: which way imports point, how long files and functions are, one training loop, what is documented."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import hpcli

HOUSE = Path(hpcli.__file__).parent
FILES = sorted(HOUSE.rglob("*.py"))
ABOVE = {
    "experiments": ("cli", "console", "run_dir", "plots", "report"),
    "training": ("cli", "console", "run_dir", "plots", "report", "experiments", "analysis"),
    "models": ("cli", "console", "run_dir", "plots", "report", "experiments", "analysis", "training"),
    "data": ("cli", "console", "run_dir", "plots", "report", "experiments", "analysis", "training"),
    "analysis": ("cli", "console", "run_dir", "plots", "report", "experiments", "training", "models", "data", "config"),
    "config": ("cli", "console", "run_dir", "plots", "report", "experiments", "analysis", "training", "models", "data"),
}


def imports(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{name.name}" for name in node.names)}
    return names


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(HOUSE)))
def test_imports_point_down(path: Path) -> None:
    folder = path.relative_to(HOUSE).parts[0]
    banned = {f"hpcli.{name}" for name in ABOVE.get(folder, ())}
    found = {name for name in imports(path) for each in banned if name == each or name.startswith(f"{each}.")}
    assert not found
    if path.parent == HOUSE and path.stem in ("errors", "catalog", "version", "signals"):
        assert {name for name in imports(path) if name.startswith("hpcli")} <= {
            "hpcli.errors",
            "hpcli.errors.ConfigError",
        }


def test_ruff_holds_the_same_line(tmp_path: Path) -> None:
    """Its config forbids the import, wherever in the file it stands."""
    for folder, above in ABOVE.items():
        rules = (HOUSE / folder / "ruff.toml").read_text()
        assert all(f'"hpcli.{name}"' in rules for name in above), folder
    code = "def f() -> None:\n    from hpcli.console import Terminal\n    Terminal()\n"
    command = [sys.executable, "-m", "ruff", "check", "--select", "TID251", "--stdin-filename"]
    for folder, expected in (("training", 1), ("run_dir", 0)):
        name = str(HOUSE / folder / "probe.py")
        done = subprocess.run([*command, name, "-"], input=code, capture_output=True, text=True, check=False)
        assert done.returncode == expected, done.stdout + done.stderr


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(HOUSE)))
def test_files_and_functions_stay_short(path: Path) -> None:
    text = path.read_text()
    assert text.count("\n") <= 250
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            assert (node.end_lineno or 0) - node.lineno + 1 <= 40, f"{node.name} in {path.name}"


def test_there_is_one_training_loop() -> None:
    """`backward` is called in one place, and that place in one loop."""
    assert [path.name for path in FILES if ".backward()" in path.read_text()] == ["step.py"]
    assert [path.name for path in FILES if "self.take_step(" in path.read_text()] == ["trainer.py"]


def test_the_readme_shows_the_tree() -> None:
    readme = (HOUSE.parent / "README.md").read_text()
    for path in FILES:
        if not path.name.startswith("__"):
            assert path.name in readme, path


def test_everything_public_is_importable() -> None:
    for name in hpcli.__all__:
        assert getattr(hpcli, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'fit'"):
        _ = hpcli.fit
