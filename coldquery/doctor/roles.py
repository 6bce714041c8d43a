"""The roles: what they may do beyond their grants, what the reader could write, and whether it could end a session.

The role is the boundary. A read is held read-only by its transaction too, but that holds no superuser off the server's
files, and keeps nobody from ending a connection of the same role: see docs/roles.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from coldquery.doctor.asking import ask
from coldquery.doctor.finding import Finding, ok, skip, warn
from coldquery.postgres.connection import Connection

MAX_EXAMPLES = 3

REMEDY = "docs/roles.md has the SQL that makes good ones."

# https://www.postgresql.org/docs/current/role-attributes.html and
# https://www.postgresql.org/docs/current/predefined-roles.html
DANGERS = {
    "CREATEROLE": "can make itself other roles",
    "REPLICATION": "can copy the whole server",
    "BYPASSRLS": "row security does not hold it",
    "pg_read_server_files": "reads the server's files",
    "pg_write_server_files": "writes the server's files",
    "pg_execute_server_program": "runs programs on the server",
    "pg_read_all_data": "reads every table, password hashes too",
    "pg_write_all_data": "writes every table",
    "pg_signal_backend": "can end others' connections",
}

# All that a role can become counts as its own: set_config('role', …) works in a read too.
_POWERS = """
WITH mine AS (SELECT * FROM pg_catalog.pg_roles WHERE pg_has_role(oid, 'MEMBER'))
SELECT current_user::text AS role, bool_or(rolsuper) AS superuser,
       array_remove(ARRAY[
           CASE WHEN bool_or(rolcreaterole) THEN 'CREATEROLE' END,
           CASE WHEN bool_or(rolreplication) THEN 'REPLICATION' END,
           CASE WHEN bool_or(rolbypassrls) THEN 'BYPASSRLS' END
       ], NULL) || ARRAY(SELECT rolname::text FROM mine WHERE rolname = ANY ($1) ORDER BY 1) AS held
FROM mine
"""

_REACH = """
WITH mine AS MATERIALIZED (SELECT oid FROM pg_catalog.pg_roles WHERE pg_has_role(oid, 'MEMBER')),
schemas AS (
    SELECT oid, nspname FROM pg_catalog.pg_namespace
    WHERE nspname <> 'information_schema' AND NOT starts_with(nspname, 'pg_')
),
tables AS MATERIALIZED (
    SELECT format('%I.%I', s.nspname, c.relname) AS name
    FROM pg_catalog.pg_class AS c JOIN schemas AS s ON s.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND EXISTS (
        SELECT FROM mine AS m
        WHERE m.oid = c.relowner OR has_table_privilege(m.oid, c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE')
           OR has_any_column_privilege(m.oid, c.oid, 'INSERT, UPDATE')
    )
)
SELECT (SELECT count(*) FROM tables)::int AS tables,
       ARRAY(SELECT name FROM tables ORDER BY 1 LIMIT $1) AS examples,
       (SELECT count(*) FROM pg_catalog.pg_class AS c JOIN schemas AS s ON s.oid = c.relnamespace
        WHERE c.relkind = 'S' AND EXISTS (
            SELECT FROM mine AS m WHERE has_sequence_privilege(m.oid, c.oid, 'USAGE, UPDATE')
        ))::int AS sequences,
       ARRAY(SELECT nspname::text FROM schemas AS s WHERE EXISTS (
            SELECT FROM mine AS m WHERE has_schema_privilege(m.oid, s.oid, 'CREATE')
        ) ORDER BY 1) AS schemas,
       (SELECT bool_or(has_database_privilege(oid, current_database(), 'CREATE')) FROM mine) AS new_schemas,
       (SELECT bool_or(has_database_privilege(oid, current_database(), 'TEMPORARY')) FROM mine) AS temporary,
       (SELECT bool_or(has_function_privilege(m.oid, f, 'EXECUTE')) FROM mine AS m, unnest(ARRAY[
            'lo_creat(integer)', 'lo_create(oid)', 'lo_from_bytea(oid, bytea)'
        ]::regprocedure[]) AS f) AS large_objects
"""

_CAN_BECOME = """
SELECT coalesce(bool_or(pg_has_role(oid, 'MEMBER')), false) AS it FROM pg_catalog.pg_roles WHERE rolname = $1
"""


@dataclass(frozen=True, slots=True)
class Powers:
    """What a role may do that no grant on an object gives. `held` are names in `DANGERS`."""

    role: str
    superuser: bool
    held: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Reach:
    """What a role could write, were its transactions not read-only. `examples` are some of the `tables`."""

    tables: int = 0
    examples: tuple[str, ...] = ()
    sequences: int = 0
    schemas: tuple[str, ...] = ()
    new_schemas: bool = False
    temporary: bool = False
    large_objects: bool = False


async def ask_powers(connection: Connection) -> Powers:
    """Ask what the connection's role may do beyond its grants."""
    row = await ask(connection, _POWERS, list(DANGERS))
    return Powers(row["role"], row["superuser"], tuple(row["held"]))


async def ask_reach(connection: Connection) -> Reach:
    """Ask what the connection's role could write."""
    row = await ask(connection, _REACH, MAX_EXAMPLES)
    return Reach(
        tables=row["tables"],
        examples=tuple(row["examples"]),
        sequences=row["sequences"],
        schemas=tuple(row["schemas"]),
        new_schemas=row["new_schemas"],
        temporary=row["temporary"],
        large_objects=row["large_objects"],
    )


async def ask_can_become(connection: Connection, role: str) -> bool:
    """Ask whether the connection's role is another one, or a member of it."""
    return bool((await ask(connection, _CAN_BECOME, role))["it"])


def judge_powers(powers: Powers) -> Finding:
    """Whether the role is held by its grants."""
    if powers.superuser:
        return warn(
            f"{powers.role} is a superuser, or can become one: a read reaches the server's files and programs",
            f"Use another role; {REMEDY}",
        )
    if powers.held:
        dangers = "; ".join(f"{name} ({DANGERS[name]})" for name in powers.held)
        return warn(f"{powers.role} has {dangers}", f"Take that from it, or use another role; {REMEDY}")
    return ok(f"{powers.role} has nothing beyond its grants")


def judge_reach(powers: Powers, reach: Reach) -> Finding:
    """Whether the reader could write if nothing but its grants kept it from that."""
    if powers.superuser:
        return skip("no grant holds a superuser")
    could = list(_writes(reach))
    if not could:
        return ok(f"{powers.role} can write nothing")
    return warn(
        f"{powers.role} could write {', '.join(could)}, were its transactions not read-only",
        f"Revoke that, or use another role for reads; {REMEDY}",
    )


def judge_pair(reader: str, writer: str, *, can_become: bool) -> Finding:
    """Whether a read is kept from the sessions' connections."""
    if not can_become:
        return ok(f"{reader} reads, {writer} writes")
    who = f"{reader} reads and writes" if reader == writer else f"{reader} can become {writer}"
    return warn(
        f"{who}: a read can end the connections of sessions (pg_terminate_backend)",
        f"Give reads a role of their own with reader_dsn; {REMEDY}",
    )


def _writes(reach: Reach) -> Iterator[str]:
    if reach.tables:
        more = ", …" if reach.tables > len(reach.examples) else ""
        yield f"{_count(reach.tables, 'table')} ({', '.join(reach.examples)}{more})"
    if reach.sequences:
        yield _count(reach.sequences, "sequence")
    if reach.schemas:
        yield f"new tables in {', '.join(reach.schemas)}"
    if reach.new_schemas:
        yield "new schemas"
    if reach.temporary:
        yield "temporary tables"
    if reach.large_objects:
        yield "large objects"


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'s' * (number != 1)}"
