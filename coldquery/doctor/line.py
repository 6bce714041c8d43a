"""The line to PostgreSQL: whether it is encrypted, and whether a pooler such as PgBouncer stands in it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from coldquery.doctor.asking import ASK_TIMEOUT_S, ask
from coldquery.doctor.finding import Finding, fail, ok, warn
from coldquery.postgres.connection import Connection
from coldquery.postgres.outcome import DRIVER_ERRORS
from coldquery.postgres.target import Target

# How often two connections are compared: under load, a pooler need not give both the same backend the first time.
ROUNDS = 5

_LINE = """
SELECT coalesce(s.ssl, false) AS encrypted, s.version, s.cipher,
       coalesce(inet_client_addr() = inet_server_addr() OR inet_client_addr() <<= '127.0.0.0/8', true) AS local
FROM (SELECT pg_backend_pid() AS pid) AS me LEFT JOIN pg_catalog.pg_stat_ssl AS s USING (pid)
"""
_PID = "SELECT pg_backend_pid() AS pid"


class Pooling(StrEnum):
    """When a pooler gives a backend to another client: after which unit of work of the last one. Or there is none."""

    NONE = "none"
    SESSION = "session"
    TRANSACTION = "transaction"
    STATEMENT = "statement"


@dataclass(frozen=True, slots=True)
class Line:
    """PostgreSQL's end of it. `local`: a Unix socket, or both ends are one machine."""

    local: bool
    protocol: str | None = None
    cipher: str | None = None


async def ask_line(connection: Connection) -> Line:
    """Ask how PostgreSQL is reached."""
    row = await ask(connection, _LINE)
    return Line(row["local"], row["version"], row["cipher"]) if row["encrypted"] else Line(row["local"])


def is_pooled(connection: Connection) -> bool:
    """Whether a pooler stands between: it greets with a process id of its own, for cancel requests."""
    return connection.get_server_pid() != connection.backend.pid


async def ask_pooling(target: Target, connection: Connection) -> Pooling:
    """Find out what a pooler shares: if two clients that are both connected get one backend, it keeps none for each."""
    if not is_pooled(connection):
        return Pooling.NONE
    other = await target.connect()
    try:
        ours, theirs = set(), set()
        for _ in range(ROUNDS):
            ours.add((await ask(connection, _PID))["pid"])
            theirs.add((await ask(other, _PID))["pid"])
        if not ours & theirs and len(ours) == len(theirs) == 1:
            return Pooling.SESSION
        try:
            await other.control("BEGIN", ASK_TIMEOUT_S)
        except DRIVER_ERRORS:
            # "transaction blocks not allowed in statement pooling mode"
            return Pooling.STATEMENT
        return Pooling.TRANSACTION
    finally:
        other.terminate()


def judge_line(line: Line, *, pooled: bool) -> Finding:
    """Whether others on the network could read what passes.

    Args:
        line: as PostgreSQL sees it.
        pooled: a pooler stands between, so that this is its line, and ours to it is not known.
    """
    whose = "; this is the pooler's line, not ours to it" if pooled else ""
    if line.protocol:
        return ok(f"{line.protocol}, {line.cipher}{whose}")
    if line.local:
        return ok(f"none, and none needed: it does not leave the machine{whose}")
    return warn(
        f"none: passwords and rows cross the network in the clear{whose}",
        "Turn on ssl in PostgreSQL, and add sslmode=verify-full and sslrootcert=FILE to the DSN.",
    )


def judge_pooling(pooling: Pooling) -> Finding:
    """Whether a session keeps its backend."""
    match pooling:
        case Pooling.NONE:
            return ok("none in between")
        case Pooling.SESSION:
            return ok(
                "one in between, in session mode; its own limits, which can't be seen from here, must leave room too"
            )
        case Pooling.TRANSACTION:
            return fail(
                "one in between that gives a backend to others after each transaction: the limits that the gateway "
                "sets, and statements that it has prepared, end up with strangers",
                "Set pool_mode = session for this database in PgBouncer, or connect to PostgreSQL itself.",
            )
        case Pooling.STATEMENT:
            return fail(
                "one in between that gives a backend to others after each statement: there are no transactions",
                "Set pool_mode = session for this database in PgBouncer, or connect to PostgreSQL itself.",
            )
