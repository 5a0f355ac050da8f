"""Writing one value into a config file, leaving its comments and layout alone.

ruamel.yaml keeps comments, but indents and spaces anew what it was not asked to change; so the text is cut at the marks
that the strict reader keeps of every value.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Collection
from pathlib import Path

from hpcli.config.idle import why_idle
from hpcli.config.keys import scope_of
from hpcli.config.loading import differing_keys, parse_config, read_config, with_overrides
from hpcli.config.schema import Config
from hpcli.config.scope import Scope
from hpcli.config.spelling import in_yaml
from hpcli.config.strict_yaml import read_document
from hpcli.errors import ConfigError
from hpcli.files import write_atomic


def set_in_file(path: Path, key: str, value: object) -> None:
    """Set `section.name` in a YAML config; what else stands in the file stays as it is, line ends included.

    The file's permissions stay, and a link to it stays one.

    Raises:
        ConfigError: the file is no config, or cannot be edited so that only this value changes. The file is untouched.
        StorageError: it cannot be written; the old content is still there.
    """
    text = in_yaml(value)
    wanted = with_overrides(read_config(path), {key: value})
    path = path.resolve()
    before = path.read_bytes().decode()
    after = _with(before, key, text, str(path))
    try:
        changed_as_wanted = parse_config(after, str(path)) == wanted
    except ConfigError:
        changed_as_wanted = False
    if not changed_as_wanted:
        raise ConfigError(f"{path}: {key} cannot be edited in place; write {text} there yourself")
    write_atomic(path, after.encode(), mode=stat.S_IMODE(path.stat().st_mode))


def other_setup(path: Path, ran: Config, *, but: Collection[str] = (), but_of: Scope = Scope.REPEAT) -> list[str]:
    """Keys by which a config file is of another set-up than what runs, so that what is found does not go into it.

    Args:
        path: the file.
        ran: what runs.
        but: keys that may differ: those that are written, or that the experiment itself sets.
        but_of: what else may differ, by what it affects.

    Raises:
        ConfigError: the file is no config.
    """
    file = read_config(path)
    return [
        key
        for key in differing_keys(file, ran, of=Scope.RUN)
        if key not in but
        and not scope_of(key) & but_of
        and not (why_idle(file, key) and why_idle(ran, key))
        and not _is_same_place(key, file, ran)
    ]


def _is_same_place(key: str, first: Config, second: Config) -> bool:
    """Whether two configs write one folder, or one checkpoint, in two ways."""
    if key == "data.root":
        return os.path.realpath(first.data.root) == os.path.realpath(second.data.root)
    one, other = (str(each.init.weights).partition("@sha256:") for each in (first, second))
    return key == "init.weights" and one[0] == other[0] and not (one[2] and other[2])


def _with(text: str, key: str, value: str, source: str) -> str:
    names, spans = tuple(key.split(".")), read_document(text, source).spans
    end_of_line = "\r\n" if "\r\n" in text else "\n"
    if names in spans:
        start, end = spans[names]
        return f"{text[:start]}{value}{text[end:]}"
    known = next((names[:length] for length in range(len(names) - 1, 0, -1) if names[:length] in spans), ())
    for inner in reversed(names[max(len(known), 1) + 1 :]):
        value = f"{{{inner}: {value}}}"
    name = names[max(len(known), 1)]
    if not known:
        return f"{text.rstrip()}{end_of_line}{names[0]}:{end_of_line}  {name}: {value}{end_of_line}".lstrip()
    start, _ = spans[known]
    if text[start] != "{":  # a block: a new line before its first key
        indent = " " * (start - text.rfind("\n", 0, start) - 1)
        return f"{text[:start]}{name}: {value}{end_of_line}{indent}{text[start:]}"
    comma = "" if text[start + 1 :].lstrip().startswith("}") else ", "
    return f"{text[: start + 1]}{name}: {value}{comma}{text[start + 1 :]}"
