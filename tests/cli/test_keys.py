from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hpcli import load_config
from hpcli.cli import main
from hpcli.cli.init import NAMES
from hpcli.config.keys import fields

CONFIGS = sorted((Path(__file__).parents[2] / "configs").glob("*.yaml"))


def test_keys_are_listed_with_default_and_meaning(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["keys"]) == 0
    listed = capsys.readouterr().out
    assert [line.split()[0] for line in listed.splitlines() if not line.startswith(" ")] == [key for key, _ in fields()]
    assert main(["keys", "lr_find.s"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "lr_find.start_lr  1e-6"
    assert lines[1].strip() == "First learning rate."
    assert main(["keys", "clip"]) == 0  # not at the start: anywhere
    assert capsys.readouterr().out.startswith("train.clip_norm  null")
    assert main(["keys", "shedule"]) == 2
    assert "did you mean schedule?" in capsys.readouterr().err


def properties(schema: dict[str, Any], node: dict[str, Any]) -> dict[str, Any]:
    if "$ref" in node:
        node = schema["$defs"][node["$ref"].rpartition("/")[2]]
    return dict(node.get("properties", {}))


def test_the_json_schema_knows_every_key(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["keys", "--json-schema"]) == 0
    schema = json.loads(capsys.readouterr().out)
    for key, field in fields():
        known = properties(schema, schema)
        for name in key.split(".")[:-1]:
            known = properties(schema, known[name])
        assert known[key.rpartition(".")[2]]["description"] == field.description


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_shipped_configs_name_the_schema_for_editors(path: Path) -> None:
    assert path.read_text().startswith("# yaml-language-server: $schema=hpcli.schema.json\n")
    assert load_config(path)


def test_help_names_the_configs_that_come_with_hpcli() -> None:
    assert sorted(NAMES.removesuffix(".").replace(" or ", ", ").split(", ")) == [path.stem for path in CONFIGS]
