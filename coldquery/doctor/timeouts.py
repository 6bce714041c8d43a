"""The time limits that PostgreSQL holds by itself: whether they are in force as the gateway sets them, in their order.

The gateway's own limits fire first; PostgreSQL's are for when it is dead or cut off (sessions/limits.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from coldquery.control.table import duration
from coldquery.doctor.asking import ask
from coldquery.doctor.finding import Finding, ok, warn
from coldquery.postgres.connection import Connection
from coldquery.postgres.target import Target
from coldquery.sessions import SessionLimits
from coldquery.sessions.limits import IDLE_BACKSTOP
from coldquery.settings import Settings

_CHECK_INTERVAL = "client_connection_check_interval"
_WATCHED = (
    *("statement_timeout", "lock_timeout", "transaction_timeout", IDLE_BACKSTOP),
    *("idle_session_timeout", _CHECK_INTERVAL),
)

# All of these are counted in milliseconds. A setting that the server does not know is left out.
_IN_FORCE = """
SELECT array_agg(name::text) AS names, array_agg(setting::int) AS values
FROM pg_catalog.pg_settings WHERE name = ANY ($1)
"""

# Those of the role, of the database, and of the role in the database.
_STANDING = """
SELECT ARRAY(
    SELECT DISTINCT one FROM pg_catalog.pg_db_role_setting AS s, unnest(s.setconfig) AS one
    WHERE s.setdatabase IN (0, (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database()))
      AND s.setrole IN (0, (SELECT oid FROM pg_catalog.pg_roles WHERE rolname = current_user))
      AND split_part(one, '=', 1) = ANY ($1) ORDER BY 1
) AS settings
"""


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Time limits in milliseconds, by PostgreSQL's names; 0 is off.

    Attributes:
        wanted: what the gateway sets for a session.
        session: what is in force on a connection that was opened for one.
        pooled: what is in force on those of reads and of writes without a session.
        standing: what ALTER ROLE or ALTER DATABASE has set, as name=value.
    """

    wanted: Mapping[str, int]
    session: Mapping[str, int]
    pooled: tuple[Mapping[str, int], ...]
    standing: tuple[str, ...] = ()


async def ask_timeouts(limits: SessionLimits, writer: Target, pooled: tuple[Connection, ...]) -> Timeouts:
    """Open a connection as for a session, and ask what is in force there and on pooled ones."""
    backstops = limits.backstops(limits.idle_timeout_s)
    connection = await replace(writer, settings={**writer.settings, **backstops}).connect()
    try:
        session = await _in_force(connection)
        standing = (await ask(connection, _STANDING, list(_WATCHED)))["settings"]
    finally:
        connection.terminate()
    return Timeouts(
        wanted={name: int(value.removesuffix("ms")) for name, value in backstops.items()},
        session=session,
        pooled=tuple([await _in_force(each) for each in pooled]),
        standing=tuple(standing),
    )


def judge_timeouts(settings: Settings, timeouts: Timeouts) -> Finding:
    """Whether PostgreSQL holds what the gateway asked for, and nothing shorter."""
    if problems := list(_problems(settings, timeouts)):
        steps = "; ".join(step for _, step in problems)
        return warn("; ".join(found for found, _ in problems), f"{steps}.")
    session = timeouts.session
    lifetime = (
        f", lifetime {duration(settings.max_lifetime_s)} < {_words(session['transaction_timeout'])}"
        if "transaction_timeout" in session
        else ", lifetime not before PostgreSQL 17"
    )
    overridden = f"; overridden: {', '.join(timeouts.standing)}" if timeouts.standing else ""
    return ok(
        f"statement {_words(session['statement_timeout'])}, lock {_words(session['lock_timeout'])}, idle session "
        f"{duration(settings.idle_timeout_s)} < {_words(session[IDLE_BACKSTOP])}{lifetime}{overridden}"
    )


def _problems(settings: Settings, timeouts: Timeouts) -> Iterator[tuple[str, str]]:
    """Each as what was found and what to do."""
    for name, wanted_ms in timeouts.wanted.items():
        if name in timeouts.session and (ms := timeouts.session[name]) != wanted_ms:
            yield (
                f"{name} is {_words(ms)} where the gateway has set {_words(wanted_ms)}",
                f"Find what changes {name} after connecting, such as a login trigger or a pooler",
            )
    if not timeouts.session.get(_CHECK_INTERVAL):
        yield (
            f"{_CHECK_INTERVAL} is off: the statement of a killed gateway runs on",
            "Run PostgreSQL on Linux or macOS, where it can look whether its client is still there",
        )
    pooled_ms = [each.get("transaction_timeout", 0) for each in timeouts.pooled]
    if shorter := [ms for ms in pooled_ms if 0 < ms < settings.statement_timeout_ms]:
        yield (
            f"transaction_timeout ends reads after {_words(min(shorter))}, before statement_timeout_ms does",
            _reset("transaction_timeout"),
        )
    if idle := [ms for each in timeouts.pooled if (ms := each.get("idle_session_timeout", 0))]:
        yield (
            f"idle_session_timeout closes waiting connections after {_words(min(idle))}, and calls wait for new ones",
            _reset("idle_session_timeout"),
        )


def _reset(name: str) -> str:
    return f"Unset {name} for the gateway's roles (ALTER ROLE … SET {name} = 0)"


async def _in_force(connection: Connection) -> dict[str, int]:
    row = await ask(connection, _IN_FORCE, list(_WATCHED))
    return dict(zip(row["names"], row["values"], strict=True))


def _words(ms: int) -> str:
    if not ms:
        return "off"
    return f"{ms} ms" if ms % 1000 else duration(ms / 1000)
