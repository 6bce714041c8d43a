"""Whether PostgreSQL has as many connections as the gateway may open."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from coldquery.doctor.asking import ask
from coldquery.doctor.finding import Finding, ok, warn
from coldquery.postgres.connection import Connection
from coldquery.settings import Settings

# The one that watches whether the database answers, as the reader; the reaper's, as the writer.
WATCHERS = 1
REAPERS = 1

# Gateways' own are told apart by name, as far as the role may see it: this may be about one that runs.
_ROOM = """
SELECT current_user::text AS role, r.rolconnlimit AS of_role, d.datconnlimit AS of_database,
       current_setting('max_connections')::int AS in_all,
       current_setting('superuser_reserved_connections')::int
           + coalesce(current_setting('reserved_connections', true), '0')::int AS reserved,
       (SELECT count(*) FROM pg_catalog.pg_stat_activity
        WHERE datid IS NOT NULL AND NOT starts_with(coalesce(application_name, ''), 'coldquery/'))::int AS others
FROM pg_catalog.pg_roles AS r, pg_catalog.pg_database AS d
WHERE r.rolname = current_user AND d.datname = current_database()
"""


@dataclass(frozen=True, slots=True)
class Room:
    """How many connections there may be.

    Attributes:
        in_all: max_connections.
        reserved: those of them that are kept for superusers and others.
        others: those that are in use by others than gateways.
        role: whose limit `of_role` is; -1 is without one.
        of_database: likewise the database's.
    """

    role: str
    in_all: int
    reserved: int
    others: int
    of_role: int = -1
    of_database: int = -1

    @property
    def free(self) -> int:
        """How many are left for a gateway."""
        return self.in_all - self.reserved - self.others


@dataclass(frozen=True, slots=True)
class Need:
    """How many connections the gateway may open, as each role."""

    reader: int
    writer: int

    @classmethod
    def of(cls, settings: Settings) -> Need:
        """What the settings allow."""
        sessions = settings.max_sessions + settings.spare_connections
        return cls(settings.read_pool_size + WATCHERS, settings.write_pool_size + sessions + REAPERS)

    @property
    def total(self) -> int:
        """As both."""
        return self.reader + self.writer


async def ask_room(connection: Connection) -> Room:
    """Ask how many connections there may be, as the role of this one."""
    row = await ask(connection, _ROOM)
    return Room(row["role"], row["in_all"], row["reserved"], row["others"], row["of_role"], row["of_database"])


def judge_room(need: Need, reader: Room, writer: Room) -> Finding:
    """Whether the gateway's pools and sessions fit."""
    reserved = f"{writer.reserved} reserved, {writer.others} in use by others"
    if short := list(_short(need, reader, writer)):
        return warn(
            f"the gateway may open {need.total}, and {'; '.join(short)}",
            "Raise that limit, or lower read_pool_size, write_pool_size or max_sessions.",
        )
    return ok(f"the gateway may open {need.total}; {writer.free} of {writer.in_all} are free ({reserved})")


def _short(need: Need, reader: Room, writer: Room) -> Iterator[str]:
    if need.total > writer.free:
        yield (
            f"max_connections leaves {writer.free} ({writer.in_all}, of which {writer.reserved} are reserved and "
            f"{writer.others} in use by others)"
        )
    if 0 <= writer.of_database < need.total:
        yield f"the database takes {writer.of_database}"
    one = reader.role == writer.role
    for room, needed in ((writer, need.total),) if one else ((reader, need.reader), (writer, need.writer)):
        if 0 <= room.of_role < needed:
            yield f"{room.role} may have {room.of_role} of the {needed} it needs"
