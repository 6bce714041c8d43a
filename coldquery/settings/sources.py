"""Where values come from, weakest first: defaults, other programs' variables, a file, COLDQUERY_* variables, flags.

A name that is not a setting stops the start, with the nearest one that is: a mistyped limit must not be ignored. No
message repeats a value, nor the path in a *_FILE variable, which may be a secret that was put in the wrong place.
"""

import difflib
import os
import stat
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pydantic import SecretStr, ValidationError

from coldquery.errors import StartError
from coldquery.settings import uri
from coldquery.settings.environment import FILE_SUFFIX, Environment, Given
from coldquery.settings.foreign import foreign_dsn
from coldquery.settings.model import Conflict, Settings, accepted

PREFIX = "COLDQUERY_"
CONFIG_FLAG = "config"
CONFIG_VARIABLE = "COLDQUERY_CONFIG"
# Ours, but not settings: which file to read, and whom the embedded server runs as when root starts it.
_OTHER_NAMES = (CONFIG_VARIABLE, "COLDQUERY_PG_USER")
_TEST_PREFIX = "COLDQUERY_TEST_"
SYSTEM_FILE = Path("/etc/coldquery/coldquery.toml")


@dataclass(frozen=True, slots=True)
class Loaded:
    """The settings in force, where each came from ("default", a variable, a flag, a file), and what is odd in them."""

    settings: Settings
    sources: Mapping[str, str]
    warnings: tuple[str, ...]


def load(flags: Mapping[str, Any], environ: Mapping[str, str], *, home: Path | None = None) -> Loaded:
    """Read all sources.

    Args:
        flags: what `chosen_flags` returned: settings, and `config` for the file to read.
        environ: the environment.
        home: the user's home directory, if not this process's.

    Raises:
        StartError: something is wrong: a name, a value, a file. All of it is told at once, without any secret.
    """
    environment = Environment(environ)
    problems = environment.problems
    given = _from_file(flags, environment, home, problems)
    given |= _from_environment(environment, problems)
    given |= {name: Given(value, _typed(name, value)) for name, value in flags.items() if name != CONFIG_FLAG}
    warnings: list[str] = []
    if "dsn" not in given and (found := foreign_dsn(environment, home or _home(), warnings)):
        given["dsn"] = found
    settings = _validated(given, problems)
    if problems:
        raise StartError(_list(problems), next="Correct that and start again; docs/settings.md has all settings.")
    sources = {name: given[name].source if name in given else "default" for name in Settings.model_fields}
    return Loaded(settings, MappingProxyType(sources), (*warnings, *_oddities(settings, sources)))


def variable_of(name: str) -> str:
    """The variable of a setting."""
    return PREFIX + name.upper()


def flag_of(name: str) -> str:
    """The flag of a setting."""
    return "--" + name.replace("_", "-")


def _from_file(
    flags: Mapping[str, Any], environment: Environment, home: Path | None, problems: list[str]
) -> dict[str, Given]:
    if named := flags.get(CONFIG_FLAG) or environment.values.get(CONFIG_VARIABLE):
        candidates = [Path(named).absolute()]
    else:
        configured = Path(environment.values.get("XDG_CONFIG_HOME", ""))
        # https://specifications.freedesktop.org/basedir-spec: a relative path counts as not set.
        base = configured if configured.is_absolute() else (home or _home()) / ".config"
        candidates = [base / "coldquery" / "coldquery.toml", SYSTEM_FILE]
    for path in candidates:
        try:
            content = tomllib.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            if named or not isinstance(error, FileNotFoundError | NotADirectoryError):
                problems.append(f"{path} can't be read ({error.strerror})")
        except ValueError as error:  # not TOML, or not UTF-8
            problems.append(f"{path} is not TOML ({_place(error)})")
            return {}
        else:
            unknown = [key for key in content if key not in Settings.model_fields]
            problems += [_unknown(key, f" (from {path})", Settings.model_fields) for key in unknown]
            return {key: Given(value, str(path)) for key, value in content.items() if key not in unknown}
    return {}


def _place(error: ValueError) -> str:
    # The parser's own words may repeat what it read: only its place is told.
    _, at, place = str(error).rpartition("(at ")
    return f"at {place.rstrip(')')}" if at else "not UTF-8 text"


def _from_environment(environment: Environment, problems: list[str]) -> dict[str, Given]:
    settings = {variable_of(name): name for name in Settings.model_fields}
    known = [*settings, *(each + FILE_SUFFIX for each in settings), *_OTHER_NAMES]
    ours = [name for name in environment.names if name.startswith(PREFIX) and not name.startswith(_TEST_PREFIX)]
    problems += [_unknown(name, "", known) for name in ours if name not in known]
    given = {}
    for variable, name in settings.items():
        if found := environment.read(variable):
            is_list = Settings.model_fields[name].annotation == tuple[str, ...]
            given[name] = Given(_items(found.value), found.source) if is_list else found
    return given


def _items(text: str) -> tuple[str, ...]:
    return tuple(item.strip() for item in text.split(",") if item.strip())


def _typed(name: str, value: Any) -> str:
    return "--no-" + flag_of(name)[2:] if value is False else flag_of(name)


def _validated(given: Mapping[str, Given], problems: list[str]) -> Settings:
    """The settings; if some are wrong, what the others would be, since those may be at odds too."""
    wrong: set[str] = set()
    while True:
        try:
            return Settings.model_validate({name: each.value for name, each in given.items() if name not in wrong})
        except ValidationError as error:
            errors = error.errors(include_input=False, include_url=False)
        for each in errors:
            match each:
                case {"type": "conflict", "ctx": {"conflicts": conflicts}}:
                    problems += [_conflict(each, given) for each in conflicts if not wrong & {*each.names}]
                    return Settings()
                case {"loc": (str(name), *_)} if name not in wrong:
                    wrong.add(name)
                    own_words = each["ctx"]["error"] if each["type"] == "value_error" else None
                    problems.append(f"{_told(name, given)}: {own_words or f'must be {accepted(name)}'}")


def _conflict(conflict: Conflict, given: Mapping[str, Given]) -> str:
    others = [_told(name, given) for name in conflict.names[1:] if name in given]
    return f"{_told(conflict.names[0], given)}: {conflict.words}" + (f"; see {', '.join(others)}" if others else "")


def _told(name: str, given: Mapping[str, Given]) -> str:
    return f"{name} (from {given[name].source})" if name in given else f"{name} (default)"


def _unknown(name: str, where: str, known: Iterable[str]) -> str:
    # Without the prefix, which all have in common, only what is really near is near.
    names = {each.removeprefix(PREFIX).lower(): each for each in known}
    near = difflib.get_close_matches(name.removeprefix(PREFIX).lower().replace("-", "_"), names, n=1)
    hint = f"did you mean {names[near[0]]}?" if near else "`coldquery serve --help` lists them"
    return f"{name}{where} is not a setting; {hint}"


def _list(problems: list[str]) -> str:
    if len(problems) == 1:
        return f"A setting can't be used. {problems[0]}"
    return "\n".join([f"{len(problems)} settings can't be used:", *(f"  - {problem}" for problem in problems)])


def _oddities(settings: Settings, sources: Mapping[str, str]) -> list[str]:
    """What is no mistake by itself, but rarely what was meant."""
    found = []
    secrets = [name for name in ("dsn", "reader_dsn", "password") if _holds_secret(name, getattr(settings, name))]
    for name in secrets:
        if sources[name] == flag_of(name):
            safer = variable_of(name) + FILE_SUFFIX
            found.append(f"{flag_of(name)} shows its password to other users of this machine; {safer} is better.")
    if settings.dsn or settings.reader_dsn:
        useless = [f"{name} ({sources[name]})" for name in ("data_dir", "pg_bin") if sources[name] != "default"]
        found += [f"{each} has no effect: it is for the embedded PostgreSQL." for each in useless]
    elif settings.password:
        found.append(f"password ({sources['password']}) has no effect: no database is configured.")
    files = sorted({sources[name] for name in secrets if sources[name].startswith("/")})
    return [*found, *(f"{path} holds a secret, and everybody can read it." for path in files if _is_public(Path(path)))]


def _holds_secret(name: str, value: SecretStr | None) -> bool:
    return value is not None and (name == "password" or uri.holds_password(value.get_secret_value()))


def _is_public(path: Path) -> bool:
    try:
        return bool(path.stat().st_mode & stat.S_IROTH)
    except OSError:  # it went away since it was read
        return False


def _home() -> Path:
    # Not Path.home(), which fails for a user that has neither HOME nor an entry in the user database.
    return Path(os.path.expanduser("~"))  # noqa: PTH111 - see above
