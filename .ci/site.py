"""What the site has besides docs/: the pages at the root, what was measured, and no address from which a page loads.

A hook of MkDocs. The pages are written for whoever reads the repository, so their links name files in it; here they
are turned to where the site has these files.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
AT_ROOT = ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")
MEASURED = ("benchmarks/results", "benchmarks/results/papers", "benchmarks/tables")
EXPERIMENTS = "configs/papers"
LINK = re.compile(r"(\]\()(?![a-z]+:|#)([^)#\s]+)")
LOADED = re.compile(r"""<(?:(?:script|img|iframe|source)\b[^>]*\bsrc|link\b[^>]*\bhref)=["']?(?:https?:)?//[^\s>]*""")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages at the root, the tables of the benchmarks, a page that lists them, and Smith's experiments."""
    for name in AT_ROOT:
        text = moved_links((ROOT / name).read_text(), name)
        files.append(File.generated(config, placed(name), content=text))
    lines = ["# What was measured", "", "Each table says in its first line when, on what, with which torch.", ""]
    for folder in MEASURED:
        for path in sorted((ROOT / folder).glob("*.csv")):
            name = f"{folder}/{path.name}"
            files.append(File.generated(config, name, abs_src_path=str(path)))
            with path.open() as file:
                lines.append(f"- [{name}]({name}): {file.readline().lstrip('# ').strip()}")
    for path in sorted((ROOT / EXPERIMENTS).glob("*.yaml")):
        files.append(File.generated(config, f"{EXPERIMENTS}/{path.name}", abs_src_path=str(path)))
    files.append(File.generated(config, "measurements.md", content="\n".join(lines)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn the links of a page of docs/ that lead out of it."""
    if page.file.generated_by is not None:
        return markdown
    return moved_links(markdown, f"docs/{page.file.src_uri}")


def on_post_build(config: MkDocsConfig) -> None:
    """Refuse a page that loads something from elsewhere."""
    for path in Path(config.site_dir).rglob("*.html"):
        found = LOADED.search(path.read_text())
        if found:
            raise PluginError(f"{path.name} loads from elsewhere: {found.group()}")


def moved_links(text: str, source: str) -> str:
    """The text of a file of the repository, its links as they are on the site."""
    here = posixpath.dirname(placed(source))

    def turned(match: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(source), match[2]))
        return match[1] + posixpath.relpath(placed(target), here or ".")

    return LINK.sub(turned, text)


def placed(path: str) -> str:
    """Where a file of the repository is on the site."""
    if path == "README.md":
        return "index.md"
    if path in MEASURED:
        return "measurements.md"
    return path.lower() if path in AT_ROOT else path.removeprefix("docs/")
