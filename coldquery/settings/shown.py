"""What is in force and where it came from, as it may be shown: a row for each setting, its secrets hidden."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from pydantic import SecretStr

from coldquery.settings import uri
from coldquery.settings.model import Settings
from coldquery.settings.sources import Loaded


class Row(NamedTuple):
    """A setting in force: its name, its value as it may be shown ("" for none), and where it came from."""

    name: str
    value: str
    source: str


def describe(loaded: Loaded) -> list[Row]:
    """A row for each setting, in the model's order. `row._asdict()` is its JSON form."""
    return [
        Row(name, _shown(name, getattr(loaded.settings, name)), loaded.sources[name]) for name in Settings.model_fields
    ]


def table(rows: Sequence[Row]) -> str:
    """Rows as aligned text under a heading."""
    lines = [Row("setting", "value", "source"), *rows]
    names, values = (max(len(line[column]) for line in lines) for column in (0, 1))
    return "\n".join(f"{line.name:{names}}  {line.value:{values}}  {line.source}".rstrip() for line in lines)


def plain(value: Any) -> str:
    """A value that is no secret, as it would be typed."""
    match value:
        case None:
            return ""
        case bool():
            return str(value).lower()
        case tuple():
            return ", ".join(value)
        case _:
            return str(value)


def _shown(name: str, value: Any) -> str:
    if not isinstance(value, SecretStr):
        return plain(value)
    return uri.hidden(value.get_secret_value()) if name.endswith("dsn") else "***"
