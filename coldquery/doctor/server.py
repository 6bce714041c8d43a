"""The server: its version, which database it is, pg_stat_statements, and its clock."""

from __future__ import annotations

import time
from dataclasses import dataclass

from coldquery.doctor.asking import ask
from coldquery.doctor.finding import Finding, fail, ok, warn
from coldquery.postgres.connection import Connection

OLDEST_MAJOR = 14
TESTED_MAJORS = range(15, 19)

CLOCK_SAMPLES = 5
MAX_SKEW_S = 1.0

_PLACE = """
SELECT current_database() AS database, current_user::text AS role, pg_is_in_recovery() AS standby,
       current_setting('default_transaction_read_only')::bool AS read_only,
       current_setting('server_version') AS version, current_setting('server_version_num')::int / 10000 AS major
"""
# The same on a primary and its standbys, and nowhere else.
_SYSTEM = "SELECT system_identifier::text AS id FROM pg_control_system()"
# A library's settings are known only where it was loaded; shared_preload_libraries itself is not for everybody to see.
_STATISTICS = """
SELECT EXISTS (SELECT FROM pg_catalog.pg_extension WHERE extname = 'pg_stat_statements') AS installed,
       current_setting('pg_stat_statements.max', true) IS NOT NULL AS loaded,
       pg_has_role('pg_read_all_stats', 'USAGE') AS sees_all
"""
_CLOCK = "SELECT extract(epoch FROM clock_timestamp())::float8 AS now"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a connection ends.

    Attributes:
        standby: the server is one, so that nothing can be written there.
        read_only: transactions are read-only unless they say otherwise, and the gateway's do not.
    """

    database: str
    role: str
    version: str
    major: int
    standby: bool = False
    read_only: bool = False


@dataclass(frozen=True, slots=True)
class Statistics:
    """pg_stat_statements: whether the extension and its library are there, and whether others' statements are seen."""

    installed: bool
    loaded: bool
    sees_all: bool


@dataclass(frozen=True, slots=True)
class Skew:
    """By how much the server's clock is ahead of ours, give or take."""

    ahead_s: float
    uncertainty_s: float


async def ask_place(connection: Connection) -> Place:
    """Ask where a connection ends."""
    row = await ask(connection, _PLACE)
    version = row["version"].split()[0]
    return Place(row["database"], row["role"], version, row["major"], row["standby"], row["read_only"])


async def ask_system(connection: Connection) -> str:
    """Ask for the identifier that a server shares with its standbys."""
    return str((await ask(connection, _SYSTEM))["id"])


async def ask_statistics(connection: Connection) -> Statistics:
    """Ask for pg_stat_statements."""
    row = await ask(connection, _STATISTICS)
    return Statistics(row["installed"], row["loaded"], row["sees_all"])


async def ask_skew(connection: Connection) -> Skew:
    """Compare clocks. The quickest of some round trips tells most."""
    samples = []
    for _ in range(CLOCK_SAMPLES):
        began = time.time()
        theirs = (await ask(connection, _CLOCK))["now"]
        ended = time.time()
        samples.append(Skew(theirs - (began + ended) / 2, (ended - began) / 2))
    return min(samples, key=lambda sample: sample.uncertainty_s)


def judge_version(place: Place) -> Finding:
    """Whether this PostgreSQL is one that the gateway is made for."""
    found = f"PostgreSQL {place.version}"
    tested = f"{TESTED_MAJORS[0]} to {TESTED_MAJORS[-1]}"
    if place.major in TESTED_MAJORS:
        return ok(found)
    if place.major < OLDEST_MAJOR:
        return fail(
            f"{found} can't stop the statements of a gateway that was killed",
            f"Upgrade to one that the gateway is tested with: {tested}.",
        )
    return warn(f"{found}; the gateway is tested with {tested}", "Try it on a copy first, or use one of those.")


def judge_place(reader: tuple[Place, str], writer: tuple[Place, str], embedded: str = "") -> Finding:
    """Whether reads and writes meet in one database that can be written.

    Args:
        reader: where reads go, and the server's identifier.
        writer: where writes go.
        embedded: where an embedded server keeps its data; "" for another.
    """
    place = writer[0]
    if reader[1] != writer[1] or reader[0].database != place.database:
        where = "on another server" if reader[1] != writer[1] else f"in {reader[0].database}"
        return fail(
            f"writes go to {place.database}, and reads look {where}",
            "Let reader_dsn and dsn name the same database.",
        )
    if place.standby:
        return warn(f"{place.database} on a standby: nothing can be written", "Let dsn name the primary.")
    if place.read_only:
        return warn(
            f"{place.database}, and default_transaction_read_only is on for {place.role}: nothing can be written",
            f"If writes are wanted, reset it: ALTER ROLE {place.role} RESET default_transaction_read_only, or ALTER "
            "DATABASE likewise.",
        )
    where = f" ({embedded})" if embedded else ", and reads go to a standby of it" if reader[0].standby else ""
    return ok(place.database + where)


def judge_statistics(statistics: Statistics) -> Finding:
    """Whether it can be told which statements take long."""
    if statistics.installed and statistics.loaded:
        return ok("installed" if statistics.sees_all else "installed; the reader sees its own statements only")
    install = "CREATE EXTENSION pg_stat_statements in this database"
    if statistics.loaded:
        return warn("loaded, but not in this database", f"As a superuser: {install}.")
    preload = "add pg_stat_statements to shared_preload_libraries and restart PostgreSQL"
    missing = "the extension is there, but its library is not loaded" if statistics.installed else "not there"
    return warn(
        f"{missing}: nobody can tell which statements take long",
        f"If that is wanted, {preload}" + ("." if statistics.installed else f"; then {install}."),
    )


def judge_skew(skew: Skew) -> Finding:
    """Whether the two clocks agree, so that logs can be read side by side."""
    where = "ahead of" if skew.ahead_s > 0 else "behind"
    found = f"{_span(abs(skew.ahead_s))} {where} ours (± {_span(skew.uncertainty_s)})"
    if abs(skew.ahead_s) - skew.uncertainty_s <= MAX_SKEW_S:
        return ok(f"PostgreSQL's is {found}")
    return warn(f"PostgreSQL's is {found}: times in its log and in ours do not match", "Let both machines use NTP.")


def _span(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds >= 1 else f"{seconds * 1000:.1f} ms"
