"""Where values come from, weakest first: defaults, other programs' variables, a file, COLDQUERY_* variables, flags.

A name that is not a setting stops the start, with the nearest one that is: a mistyped limit must not be ignored.
"""

import difflib
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from pydantic import ValidationError

from coldquery.errors import StartError
from coldquery.settings.model import Settings

PREFIX = "COLDQUERY_"
FILE_SUFFIX = "_FILE"
# Ours, but not settings: which file to read, and whom the embedded server runs as when root starts it.
OTHER_NAMES = {"COLDQUERY_CONFIG", "COLDQUERY_PG_USER"}
TEST_PREFIX = "COLDQUERY_TEST_"
SYSTEM_FILE = Path("/etc/coldquery/coldquery.toml")

# With one of these, libpq's variables name a database; asyncpg reads them by itself when the DSN says nothing.
# https://www.postgresql.org/docs/current/libpq-envars.html
_LIBPQ = ("PGHOST", "PGPORT", "PGDATABASE", "PGSERVICE")
# The first version's.
_FIRST_VERSION = ("DB_HOST", "DB_PORT", "DB_USER", "DB_PASSWORD", "DB_DATABASE")


@dataclass(frozen=True, slots=True)
class Loaded:
    """The settings in force, where each value came from, and what was odd though not wrong."""

    settings: Settings
    sources: Mapping[str, str]
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Value:
    value: Any
    source: str


def load(flags: Mapping[str, Any], environ: Mapping[str, str], *, home: Path | None = None) -> Loaded:
    """Read all sources.

    Args:
        flags: setting names and values from the command line, and `config` for the file.
        environ: the environment.
        home: the user's home directory.

    Raises:
        StartError: everything that is wrong, told at once; never a secret's value.
    """
    problems: list[str] = []
    warnings: list[str] = []
    given: dict[str, _Value] = {}
    given |= _foreign(environ, warnings, problems)
    given |= _from_file(_file(flags, environ, home or Path.home()), problems)
    given |= _from_environment(environ, problems)
    given |= {name: _Value(value, _flag(name)) for name, value in flags.items() if name != "config"}
    try:
        settings = Settings.model_validate({name: each.value for name, each in given.items()})
    except ValidationError as error:
        for each in error.errors(include_input=False, include_url=False, include_context=False):
            problems.append(_problem(each["loc"], each["msg"], given))
    if problems:
        raise StartError(
            "The settings can't be used: " + "; ".join(problems) + ".",
            next="Correct them. `coldquery settings` shows what is in force, and docs/settings.md what there is.",
        )
    sources = {name: given[name].source if name in given else "default" for name in Settings.model_fields}
    return Loaded(settings, sources, tuple(warnings))


def _foreign(environ: Mapping[str, str], warnings: list[str], problems: list[str]) -> dict[str, _Value]:
    """What other programs' variables say of the database."""
    url = _maybe_file(environ, "DATABASE_URL", problems)
    first = {name: value for name in _FIRST_VERSION if (value := _maybe_file(environ, name, problems)) is not None}
    libpq = [name for name in _LIBPQ if name in environ]
    if url is not None:
        if first or libpq:
            others = ", ".join([*(value.source for value in first.values()), *libpq])
            warnings.append(f"DATABASE_URL is used; {others} are not.")
        return {"dsn": url}
    if "DB_HOST" in first or "DB_DATABASE" in first:
        return {"dsn": _Value(_compose(first), ", ".join(value.source for value in first.values()))}
    if libpq:
        return {"dsn": _Value("postgresql://", ", ".join(libpq))}
    return {}


def _compose(parts: Mapping[str, _Value]) -> str:
    def part(name: str, default: str = "") -> str:
        return quote(str(parts[name].value) if name in parts else default, safe="")

    password = f":{part('DB_PASSWORD')}" if "DB_PASSWORD" in parts else ""
    user = f"{part('DB_USER')}{password}@" if "DB_USER" in parts else ""
    return f"postgresql://{user}{part('DB_HOST', 'localhost')}:{part('DB_PORT', '5432')}/{part('DB_DATABASE')}"


def _file(flags: Mapping[str, Any], environ: Mapping[str, str], home: Path) -> Path | None:
    named = flags.get("config") or environ.get("COLDQUERY_CONFIG")
    if named:
        return Path(named)
    user = Path(environ.get("XDG_CONFIG_HOME") or home / ".config") / "coldquery" / "coldquery.toml"
    return next((path for path in (user, SYSTEM_FILE) if path.is_file()), None)


def _from_file(path: Path | None, problems: list[str]) -> dict[str, _Value]:
    if path is None:
        return {}
    try:
        content = tomllib.loads(path.read_text())
    except OSError as error:
        problems.append(f"{path} can't be read ({error.strerror})")
        return {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        # A parser's message may repeat what it read; its place is enough.
        place = str(error).rpartition("(")[2].rstrip(")") if "(at " in str(error) else "somewhere"
        problems.append(f"{path} is not TOML ({place})")
        return {}
    problems += [f"{path}: {_unknown(name, Settings.model_fields)}" for name in content if name not in _FIELDS]
    return {name: _Value(value, str(path)) for name, value in content.items() if name in _FIELDS}


def _from_environment(environ: Mapping[str, str], problems: list[str]) -> dict[str, _Value]:
    given: dict[str, _Value] = {}
    known = {PREFIX + name.upper(): name for name in Settings.model_fields}
    for variable in sorted(environ):
        if not variable.startswith(PREFIX) or variable in OTHER_NAMES or variable.startswith(TEST_PREFIX):
            continue
        plain = variable.removesuffix(FILE_SUFFIX)
        name = known.get(plain)
        if name is None:
            problems.append(_unknown(variable, [*known, *(each + FILE_SUFFIX for each in known)]))
        elif name not in given and (value := _maybe_file(environ, plain, problems)) is not None:
            is_list = name in {"allowed_hosts", "allowed_origins"}
            given[name] = _Value(_items(value.value) if is_list else value.value, value.source)
    return given


def _maybe_file(environ: Mapping[str, str], name: str, problems: list[str]) -> _Value | None:
    """A variable's value, or the content of the file that NAME_FILE points to, without its last newline."""
    path = environ.get(name + FILE_SUFFIX)
    if path is None:
        return _Value(environ[name], name) if name in environ else None
    if name in environ:
        problems.append(f"both {name} and {name}{FILE_SUFFIX} are set; unset one")
        return None
    try:
        return _Value(Path(path).read_text().removesuffix("\n"), name + FILE_SUFFIX)
    except (OSError, UnicodeDecodeError) as error:
        problems.append(f"{name}{FILE_SUFFIX}: {path} can't be read ({getattr(error, 'strerror', 'not text')})")
        return None


def _items(text: str) -> list[str]:
    return [item.strip() for item in text.split(",") if item.strip()]


def _unknown(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(known), n=1)
    return f"{name} is not a setting" + (f" (did you mean {near[0]}?)" if near else "")


def _problem(location: tuple[int | str, ...], message: str, given: Mapping[str, _Value]) -> str:
    message = message.removeprefix("Value error, ").removeprefix("Input should be ")
    if not location:  # two settings that do not go together: the message begins with the first one's name
        name, _, rest = message.partition(": ")
        return f"{_told(name, given)}: {rest}"
    return (
        f"{_told(str(location[0]), given)}: must be {message}"
        if message[:4] not in {"can't", "must"}
        else (f"{_told(str(location[0]), given)}: {message}")
    )


def _told(name: str, given: Mapping[str, _Value]) -> str:
    return f"{name} (from {given[name].source})" if name in given else name


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


_FIELDS = Settings.model_fields
