"""The command line's flags, one for each setting."""

import argparse
from typing import Any

from coldquery.settings.model import Settings, accepted, choices_of
from coldquery.settings.sources import CONFIG_FLAG, flag_of, variable_of


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Add a flag for each setting, and `--config`. A password has none, since the command line is no secret.

    Values stay as they were typed: `load` judges them, and tells what is wrong together with all else.
    """
    # `--max-row` is a mistake and not an abbreviation.
    parser.allow_abbrev = False
    group = parser.add_argument_group("settings", "Each can also be a variable or a line of a file: docs/settings.md.")
    group.add_argument("--" + CONFIG_FLAG, metavar="FILE", default=argparse.SUPPRESS, help="The TOML file to read.")
    for name in Settings.model_fields:
        if name != "password":
            group.add_argument(flag_of(name), **_options(name))


def chosen_flags(options: argparse.Namespace) -> dict[str, Any]:
    """The settings that the command line names, and `config`: the first argument of `load`."""
    return {name: value for name, value in vars(options).items() if name in {*Settings.model_fields, CONFIG_FLAG}}


def _options(name: str) -> dict[str, Any]:
    options: dict[str, Any] = {"default": argparse.SUPPRESS, "help": _help(name).replace("%", "%%")}
    field = Settings.model_fields[name]
    if field.annotation is bool:
        options["action"] = argparse.BooleanOptionalAction
    elif field.annotation == tuple[str, ...]:
        options |= {"action": "append", "metavar": "TEXT"}
    elif choices := choices_of(name):
        options["choices"] = choices
    else:
        options["metavar"] = _metavar(name)
    return options


def _metavar(name: str) -> str:
    for suffix, metavar in (("dsn", "URI"), ("_ms", "MS"), ("_s", "SECONDS"), ("_bytes", "BYTES"), ("host", "ADDRESS")):
        if name.endswith(suffix):
            return metavar
    return "N" if isinstance(Settings.model_fields[name].default, int) else "DIR"


def _help(name: str) -> str:
    field = Settings.model_fields[name]
    text = (field.description or "").replace("`", "")
    if name.endswith("dsn"):
        return f"{text} Other users of this machine can see the command line: {variable_of(name)}_FILE is better."
    if field.annotation == tuple[str, ...]:
        return f"{text} May be repeated."
    if field.annotation is bool or field.default is None:
        return text
    bounds = "" if choices_of(name) or isinstance(field.default, str) else f"; {accepted(name)}"
    return f"{text} (default: {field.default}{bounds})"
