"""Writing one value into a config file, leaving its comments and layout alone."""

from __future__ import annotations

from pathlib import Path

from hpcli.config.loading import read_config, with_overrides
from hpcli.config.strict_yaml import read_document
from hpcli.errors import ConfigError


def set_in_file(path: Path, key: str, value: str) -> None:
    """Set `section.name` in a YAML config; what else stands in the file stays as it is.

    Raises:
        ConfigError: the file is no config, or cannot be edited so that only this value changes.
    """
    wanted = with_overrides(read_config(path), {key: value})
    before = path.read_text()
    path.write_text(_with(before, key, value, str(path)))
    try:
        changed_as_wanted = read_config(path) == wanted
    except ConfigError:
        changed_as_wanted = False
    if not changed_as_wanted:
        path.write_text(before)
        raise ConfigError(f"{path}: {key} cannot be edited in place; write {value} there yourself")


def _with(text: str, key: str, value: str, source: str) -> str:
    section, name = key.split(".")
    spans = read_document(text, source).spans
    if (section, name) in spans:
        start, end = spans[section, name]
        return f"{text[:start]}{value}{text[end:]}"
    if (section,) not in spans:
        return f"{text.rstrip()}\n{section}:\n  {name}: {value}\n".lstrip()
    start, _ = spans[(section,)]
    if text[start] != "{":  # a block: a new line before its first key
        indent = " " * (start - text.rfind("\n", 0, start) - 1)
        return f"{text[:start]}{name}: {value}\n{indent}{text[start:]}"
    comma = "" if text[start + 1 :].lstrip().startswith("}") else ", "
    return f"{text[: start + 1]}{name}: {value}{comma}{text[start + 1 :]}"
