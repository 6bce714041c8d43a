"""How settings are shown: as flags of the command line, as a table of what is in force, as a page of the documentation."""

import argparse
import re
from collections.abc import Sequence
from typing import Any, NamedTuple, get_args

from annotated_types import Ge, Gt, Le
from pydantic import SecretStr
from pydantic.fields import FieldInfo

from coldquery.settings.model import Settings
from coldquery.settings.sources import PREFIX, Loaded

_SECRETS = ("dsn", "reader_dsn", "password")
_SEEN_BY_ALL = " Other users of the machine see the command line: {}_FILE is better."


class Row(NamedTuple):
    """A setting in force: its name, its value as it may be shown, and where it came from."""

    name: str
    value: str
    source: str


def add_flags(parser: argparse.ArgumentParser) -> None:
    """One flag for each setting, and `--config`. There is none for a password."""
    parser.add_argument("--config", metavar="FILE", default=argparse.SUPPRESS, help="a TOML file of settings")
    for name, field in Settings.model_fields.items():
        if name == "password":
            continue
        text = (field.description or "").replace("%", "%%")
        if name in _SECRETS:
            text += _SEEN_BY_ALL.format(_variable(name))
        elif field.default not in (None, ()):
            text += f" Default: {_plain(field.default)}."
        options: dict[str, Any] = {"default": argparse.SUPPRESS, "help": text}
        if isinstance(field.default, bool):
            options["action"] = argparse.BooleanOptionalAction
        elif isinstance(field.default, tuple):
            options |= {"action": "append", "metavar": "NAME"}
        elif choices := _choices(field):
            options["choices"] = choices
        else:
            options["metavar"] = name.rsplit("_", 1)[-1].upper()
        parser.add_argument("--" + name.replace("_", "-"), **options)


def chosen_flags(options: argparse.Namespace) -> dict[str, Any]:
    """The settings that the command line names, and `config`."""
    return {name: value for name, value in vars(options).items() if name in Settings.model_fields or name == "config"}


def describe(loaded: Loaded) -> list[Row]:
    """What is in force and where it came from, secrets hidden."""
    return [Row(name, _shown(getattr(loaded.settings, name)), loaded.sources[name]) for name in Settings.model_fields]


def table(rows: Sequence[Row]) -> str:
    """Rows as aligned text."""
    names, values = (max(len(row[column]) for row in rows) for column in (0, 1))
    return "\n".join(f"{row.name:{names}}  {row.value:{values}}  {row.source}".rstrip() for row in rows)


def reference() -> str:
    """docs/settings.md: the settings as a page."""
    rows = [
        f"| `{name}` | `{_variable(name)}` | {_accepted(field)} | {_default(field)} | {field.description} |"
        for name, field in Settings.model_fields.items()
    ]
    return "\n".join([_REFERENCE_HEAD, *rows, ""])


def _variable(name: str) -> str:
    return PREFIX + name.upper()


def _choices(field: FieldInfo) -> tuple[str, ...]:
    return tuple(each for each in get_args(field.annotation) if isinstance(each, str))


def _accepted(field: FieldInfo) -> str:
    if choices := _choices(field):
        return ", ".join(f"`{each}`" for each in choices)
    metadata = [*field.metadata, *_alias_metadata(field)]
    low = next((each.ge for each in metadata if isinstance(each, Ge)), None)
    above = next((each.gt for each in metadata if isinstance(each, Gt)), None)
    high = next((each.le for each in metadata if isinstance(each, Le)), None)
    if high is not None:
        return f"above {above} to {high}" if above is not None else f"{low} to {high}"
    return {bool: "true, false", tuple: "names"}.get(type(field.default), "text")


def _alias_metadata(field: FieldInfo) -> Sequence[Any]:
    # A `type X = Annotated[int, Field(...)]` keeps its bounds inside the alias.
    value = getattr(field.annotation, "__value__", None)
    return [bound for each in getattr(value, "__metadata__", ()) for bound in each.metadata]


def _default(field: FieldInfo) -> str:
    return "" if field.default in (None, ()) else f"`{_plain(field.default)}`"


def _plain(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else f"{value}"


def _shown(value: Any) -> str:
    match value:
        case SecretStr():
            return _without_password(value.get_secret_value())
        case None | ():
            return ""
        case tuple():
            return ", ".join(value)
        case _:
            return _plain(value)


def _without_password(text: str) -> str:
    """A DSN with its user and place but no password; anything else as stars."""
    match = re.fullmatch(r"(postgres(?:ql)?://)(?:([^:@/?]*)(?::[^/?]*)?@)?([^@?]*)(?:\?.*)?", text, re.DOTALL)
    if match is None:
        return "***"
    scheme, user, place = match.groups()
    return f"{scheme}{user}:***@{place}" if user else f"{scheme}{place}"


_REFERENCE_HEAD = """\
# Settings

Each setting has a name, and can be given in four ways. From the weakest to the strongest:

1. **Other programs' variables**, for the database only: `DATABASE_URL`; else `DB_HOST`, `DB_PORT`, `DB_USER`, `DB_PASSWORD`,
   `DB_DATABASE`; else libpq's `PGHOST`, `PGPORT`, `PGDATABASE`, `PGUSER`, `PGPASSWORD`, `PGSERVICE`, `PGSSLMODE` and so on.
2. **A TOML file**: `--config FILE`, else `COLDQUERY_CONFIG`, else `~/.config/coldquery/coldquery.toml`
   (`$XDG_CONFIG_HOME`), else `/etc/coldquery/coldquery.toml`.
3. **A variable**: `COLDQUERY_` and the name in capitals. With `_FILE` behind it, it names a file that holds the value, which
   is the right way for a secret (`COLDQUERY_DSN_FILE=/run/secrets/dsn`). A list's items are separated by commas.
4. **A flag**: `--` and the name with dashes; a list's flag is repeated.

A name that is not a setting stops the start. `coldquery settings` shows what is in force and where it came from, with secrets
hidden. On SIGHUP a running gateway reads all of it again; limits, time limits, the database and the pool change at once, the
rest (transport, address, logs, the embedded server) with the next start.

```toml
# coldquery.toml
port = 19002
read_pool_size = 5
statement_timeout_ms = 10_000
max_rows = 500
```

| name | variable | accepted | default | meaning |
| --- | --- | --- | --- | --- |"""
