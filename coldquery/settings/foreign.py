"""The database by other programs' variables: DATABASE_URL, the first version's DB_*, or libpq's PG*."""

import configparser
from pathlib import Path

from coldquery.settings import uri
from coldquery.settings.environment import Environment, Given

_FIRST_VERSION = ("DB_HOST", "DB_PORT", "DB_USER", "DB_PASSWORD", "DB_DATABASE")
# Any of these means that somebody configured a database; the others (PGUSER, PGSSLMODE ...) only say how to reach it.
# https://www.postgresql.org/docs/current/libpq-envars.html
_LIBPQ = ("PGHOST", "PGHOSTADDR", "PGPORT", "PGDATABASE", "PGSERVICE")


def foreign_dsn(environment: Environment, home: Path, warnings: list[str]) -> Given | None:
    """The DSN that other programs' variables amount to, if any. The source also names those that were passed over."""
    first_version = [name for name in _FIRST_VERSION if environment.is_set(name)]
    if first_version and not {"DB_HOST", "DB_DATABASE"} & {*first_version}:
        warnings.append(f"{', '.join(first_version)} not used: neither DB_HOST nor DB_DATABASE is set.")
        first_version = []
    candidates = [
        (["DATABASE_URL"] if environment.is_set("DATABASE_URL") else [], _database_url),
        (first_version, _first_version),
        ([name for name in _LIBPQ if name in environment.values], _libpq),
    ]
    configured = [(names, read) for names, read in candidates if names]
    if not configured:
        return None
    (_, read), *others = configured
    found = read(environment, home, warnings)
    passed_over = ", ".join(name for names, _ in others for name in names)
    return Given(found.value, f"{found.source} (and not {passed_over})") if found and passed_over else found


def _database_url(environment: Environment, _home: Path, _warnings: list[str]) -> Given | None:
    return environment.read("DATABASE_URL")


def _first_version(environment: Environment, _home: Path, _warnings: list[str]) -> Given | None:
    found = {name: value for name in _FIRST_VERSION if (value := environment.read(name))}
    port = found["DB_PORT"].value if "DB_PORT" in found else "5432"
    if not uri.is_port(port):
        environment.problems.append(f"dsn (from {found['DB_PORT'].source}): must be a port, a number from 1 to 65535")
        return None
    text = {name: given.value for name, given in found.items()}
    composed = uri.compose(
        host=text.get("DB_HOST", "localhost"),
        port=port,
        user=text.get("DB_USER", ""),
        password=text.get("DB_PASSWORD", ""),
        database=text.get("DB_DATABASE", ""),
    )
    return Given(composed, ", ".join(given.source for given in found.values()))


def _libpq(environment: Environment, home: Path, warnings: list[str]) -> Given | None:
    """A bare URI: asyncpg reads the variables by itself.

    Except two: it knows no PGHOSTADDR, and takes a service from the URI only (asyncpg 0.32 looks at PGSERVICE after it
    has read the service file).
    """
    values = environment.values
    source = ", ".join(name for name in _LIBPQ if name in values)
    if not all(uri.is_port(port) for port in values.get("PGPORT", "5432").split(",")):
        environment.problems.append("dsn (from PGPORT): must be a port, a number from 1 to 65535")
        return None
    address = values.get("PGHOSTADDR")
    if "PGSERVICE" in values or "PGHOST" in values:
        if address:
            warnings.append("PGHOSTADDR is not used: the host is that of PGSERVICE or PGHOST.")
    elif address:
        hosts = ",".join(f"[{each}]" if ":" in each else each for each in address.split(","))
        return Given(uri.with_parameters(host=hosts), source)
    if service := values.get("PGSERVICE"):
        file = Path(values.get("PGSERVICEFILE") or home / ".pg_service.conf")
        if not _has_service(file, service):
            environment.problems.append(
                f"dsn (from PGSERVICE): {file} has no such service or can't be read; PGSERVICEFILE names another file"
            )
            return None
        return Given(uri.with_parameters(service=service), source)
    return Given(uri.with_parameters(), source)


def _has_service(file: Path, service: str) -> bool:
    # As asyncpg reads it, which would go on without a word, to whatever host is the default.
    parser = configparser.ConfigParser()
    try:
        parser.read(file)
        return service in parser.sections() and bool(dict(parser[service]))
    except (configparser.Error, UnicodeDecodeError, OSError):
        return False
