"""The site has every page, and the pages of Python every public name."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import yaml

import hpcli

ROOT = Path(__file__).parents[1]
SITE = yaml.safe_load((ROOT / ".ci/mkdocs.yml").read_text())
PAGES = {str(path.relative_to(ROOT / "docs")) for path in (ROOT / "docs").rglob("*.md")}
DOCUMENTED = re.findall(r"^::: (\S+)$", "".join(path.read_text() for path in ROOT.glob("docs/api/*.md")), re.MULTILINE)


def pages(nav: object) -> Iterator[str]:
    """The pages of a part of the navigation."""
    if isinstance(nav, str):
        yield nav
    else:
        assert isinstance(nav, list | dict)
        for each in nav if isinstance(nav, list) else nav.values():
            yield from pages(each)


def test_every_page_is_in_the_navigation_once() -> None:
    named = list(pages(SITE["nav"]))
    assert len(named) == len(set(named))
    assert set(named) - PAGES == {
        "index.md", "architecture.md", "contributing.md", "security.md", "measurements.md", "changelog.md",
    }  # fmt: skip
    assert PAGES - set(named) == set()


def test_a_warning_is_an_error() -> None:
    assert SITE["strict"] is True
    assert {check for part in SITE["validation"].values() for check in part.values()} == {"warn"}
    assert "mkdocs build -f .ci/mkdocs.yml" in (ROOT / ".ci/run").read_text()


def test_every_public_name_has_a_page() -> None:
    text = (ROOT / "docs/api/training.md").read_text()
    assert "`hpcli.__version__`" in text
    assert {f"hpcli.{name}" for name in hpcli.__all__} - set(DOCUMENTED) == {"hpcli.__version__"}


def test_every_judgement_has_a_page() -> None:
    modules = {f"hpcli.analysis.{path.stem}" for path in ROOT.glob("hpcli/analysis/[!_]*.py")}
    assert modules - set(DOCUMENTED) == set()
