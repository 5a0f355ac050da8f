"""Configs: their keys (`schema`), what each affects (`scope`), strict YAML, reading and overriding. No torch."""

from hpcli.config.editing import other_setup, set_in_file
from hpcli.config.loading import (
    differing_keys,
    load_config,
    parse_config,
    read_config,
    shipped_config,
    shipped_configs,
    to_dict,
    to_yaml,
    with_overrides,
)
from hpcli.config.momentum import Momentum, parse_momentum
from hpcli.config.schema import Config

__all__ = [
    "Config",
    "Momentum",
    "differing_keys",
    "load_config",
    "other_setup",
    "parse_config",
    "parse_momentum",
    "read_config",
    "set_in_file",
    "shipped_config",
    "shipped_configs",
    "to_dict",
    "to_yaml",
    "with_overrides",
]
