from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from hpcli.config import strict_yaml
from hpcli.config.strict_yaml import read_document, read_value
from hpcli.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001),
        ("1E3", 1000.0),
        (".5", 0.5),
        ("5.", 5.0),
        ("-7", -7),
        ("0", 0),
        ("0.1", 0.1),
        ("true", True),
        ("null", None),
        ("~", None),
        ("", None),
        ("'1e-3'", "1e-3"),
        ("0.95-0.85", "0.95-0.85"),
        ("yes", "yes"),
        ("1_000", "1_000"),
        ("2026-11-24", "2026-11-24"),
        ("1:30", "1:30"),
        (".", "."),
        ("e5", "e5"),
        ("[1, 2.5, x]", [1, 2.5, "x"]),
        ("{a: {b: []}}", {"a": {"b": []}}),
    ],
)
def test_values_mean_what_they_look_like(text: str, value: object) -> None:
    read = read_value(text, "test")
    assert read == value
    assert type(read) is type(value)


@pytest.mark.parametrize(
    ("text", "where", "what"),
    [
        ("seed: 010", "c:1:7", "leading zero"),
        ("seed: .inf", "c:1:7", "finite"),
        ("seed: -.NaN", "c:1:7", "finite"),
        ("seed: 1e999", "c:1:7", "too large"),
        ("seed: " + "9" * 5000, "c:1:7", "too large"),
        ("a: 1\nb: 2\na: 3", "c:3:1", "a: given twice"),
        ("a: {b: 1, b: 2}", "c:1:11", "a.b: given twice"),
        ("a: &x 1", "c:1:4", "anchors"),
        ("a: *x", "c:1:4", "anchors"),
        ("a: !!python/object 1", "c:1:4", "tags"),
        ("a: !x {}", "c:1:4", "tags"),
        ("<<: {a: 1}", "c:1:1", "merge"),
        ("{[1]: 2}", "c:1:2", "plain name"),
        ("a: 1\n---\nb: 2", "c:2:1", "second document"),
        ("a: [1,", "c:1:7", "not YAML"),
        ("a: b: c", "c:1:5", "not YAML"),
        ("- 1", "c:1:1", "mapping of sections"),
        ("just text", "c:1:1", "mapping of sections"),
        ("a: " + "[" * 30 + "]" * 30, "c:1:", "deeper than 20"),
        ("a: \x07", "c", "not YAML"),
    ],
)
def test_what_is_refused_says_where(text: str, where: str, what: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_document(text, "c")
    (fault,) = caught.value.faults
    assert fault.startswith(where)
    assert what in fault


def test_all_faults_are_reported_together() -> None:
    with pytest.raises(ConfigError) as caught:
        read_document("a: 010\nb: .inf\nb: 1\n", "c")
    assert [fault.split(":")[1] for fault in caught.value.faults] == ["1", "2", "3"]


def test_every_key_knows_its_place() -> None:
    where = read_document("train:\n  epochs: 3\n  checkpoint_epochs: [5, 7]\n", "c").where
    assert where[("train",)] == "c:1:1"
    assert where[("train", "epochs")] == "c:2:3"
    assert where[("train", "checkpoint_epochs", 1)] == "c:3:26"


def test_an_empty_file_is_an_empty_config() -> None:
    assert read_document("# nothing\n", "c").tree == {}


PIECES = [
    "a",
    "b: ",
    ": ",
    "- ",
    "\n",
    "\n  ",
    "'",
    '"',
    "#",
    " #",
    "[",
    "]",
    "{",
    "}",
    ",",
    "|\n",
    ">\n",
    "1e-3",
    "010",
]
PIECES += [
    "true",
    "~",
    "\t",
    "é",
    "𝒳",
    "\u2028",
    "\ufeff",
    "\x85",
    "? ",
    "---\n",
    "&a ",
    "*a",
    "!t ",
    "\\n",
    "@",
    "<<",
    "\r\n",
]


def read_by(text: str, loader: Any) -> tuple[str, object, object] | None:
    reader = strict_yaml._Reader(text, "c", loader, locate=True)
    try:
        return repr(reader.read()), reader.where, reader.spans
    except ConfigError:
        return None


@pytest.mark.skipif(not yaml.__with_libyaml__, reason="PyYAML was built without libyaml")
@given(st.lists(st.sampled_from(PIECES), max_size=12).map("".join) | st.text(max_size=20))
def test_what_libyaml_is_left_to_read_it_reads_as_pyyaml_does(text: str) -> None:
    fast = None if strict_yaml._READ_DIFFERENTLY.search(text) else read_by(text, yaml.CSafeLoader)
    assert fast in (None, read_by(text, yaml.SafeLoader))


def test_pyyaml_without_libyaml_reads_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "train: {epochs: 3}  # short\nmodel:\n- 'x'\n"
    with_it = read_document(text, "c")
    monkeypatch.setattr(yaml, "__with_libyaml__", False)
    assert read_document(text, "c") == with_it
