from __future__ import annotations

from pathlib import Path

import pytest

from hpcli.config import load_config, to_yaml, with_overrides
from hpcli.config.alphas import parse_alphas
from hpcli.config.keys import read_text
from hpcli.errors import ConfigError


def test_a_range_meets_its_ends_and_the_checkpoints_exactly() -> None:
    alphas = parse_alphas("-0.5:1.5:41")
    assert len(alphas) == 41
    assert {-0.5, 0.0, 0.5, 1.0, 1.5} <= set(alphas)
    assert alphas == tuple(sorted(alphas))


def test_a_list_is_sorted_and_has_the_checkpoints_and_the_middle() -> None:
    assert parse_alphas("4, -10,1") == (-10.0, 0.0, 0.5, 1.0, 4.0)
    assert parse_alphas("0.25") == (0.0, 0.25, 0.5, 1.0)
    assert len(parse_alphas("-10:4:50")) == 52  # the source's grid meets 0 alone


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "must be low:high:count"),
        ("a,b", "must be low:high:count"),
        ("0:1", "must be low:high:count"),
        ("0:1:5:6", "must be low:high:count"),
        ("0:1:2.5", "must be low:high:count"),
        ("0:1:-4", "must be low:high:count"),
        ("0,,1", "must be low:high:count"),
        ("1:0:5", "1 must be below 0"),
        ("0:1:1", "from 2 to 10,000"),
        ("0:1:1000000000", "from 2 to 10,000"),
        ("nan", "an alpha is a number"),
        ("0:inf:5", "an alpha is a number"),
        ("1e9", "an alpha is a number"),
    ],
)
def test_what_does_not_parse_is_said(text: str, what: str) -> None:
    with pytest.raises(ValueError, match=what):
        parse_alphas(text)
    with pytest.raises(ConfigError, match=r"interpolate\.alphas"):
        with_overrides(load_config(), {"interpolate.alphas": text})


def test_a_config_may_have_a_list_or_a_number(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("interpolate: {alphas: [-10, 0.5, 4]}\n")
    assert load_config(tmp_path / "c.yaml").interpolate.alphas == "-10,0.5,4"
    for value, text in ((-3, "-3"), (0.25, "0.25"), ([-10, 0.5], "-10,0.5"), ((0.5, 2), "0.5,2"), ("0:1:3", "0:1:3")):
        config = with_overrides(load_config(), {"interpolate.alphas": value})
        assert config.interpolate.alphas == text
        (tmp_path / "again.yaml").write_text(to_yaml(config))
        assert load_config(tmp_path / "again.yaml") == config
    faulty: list[object] = [True, None, {}, [True], ["x"], [[1]]]
    for wrong in faulty:
        with pytest.raises(ConfigError, match=r"interpolate\.alphas"):
            with_overrides(load_config(), {"interpolate.alphas": wrong})


@pytest.mark.parametrize("text", ["-0.5:1.5:41", "0.25", "-10,0.5,4", "-3"])
def test_the_command_line_takes_it_as_it_is_written(text: str) -> None:
    assert read_text("interpolate.alphas", text) == text
    assert with_overrides(load_config(), {"interpolate.alphas": read_text("interpolate.alphas", text)})


def test_a_path_is_text_whatever_it_is_called() -> None:
    assert with_overrides(load_config(), {"interpolate.ckpt_a": Path("a: b/7")}).interpolate.ckpt_a == "a: b/7"
    assert read_text("interpolate.ckpt_a", "7") == "7"
