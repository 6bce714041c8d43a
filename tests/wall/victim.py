"""The database under attack, the sessions beside it, and one question for each that tells whether they were touched."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg

from tests.conftest import TestDatabase

READER = "wall-reader"
# Where the hostile reads would leave files, in a directory that every server may write to.
FILES = "coldquery-wall-*"

# A function that can't be cancelled ends when PostgreSQL finds nobody at the other end of its connection.
_CLEANING_S = 10.0

EXTENSIONS = ("dblink", "hstore", "tablefunc", "pg_surgery", "adminpack", "xml2", "isn", "hypopg")

_OBJECTS = """
CREATE TABLE account (
    id int PRIMARY KEY, owner text NOT NULL, balance numeric(12, 2) NOT NULL,
    tags text[] NOT NULL DEFAULT '{}', data jsonb NOT NULL DEFAULT '{}', opened date NOT NULL DEFAULT '2024-02-29'
);
INSERT INTO account VALUES
    (1, 'ada', 100.10, '{gold,old}', '{"a": {"b": [1, 2, 3]}}'), (2, 'ben', 50, '{new}', '{"a": null}'),
    (3, 'clara', 50, '{}', '{}'), (4, 'Émile', -7.5, '{old}', '{"x": "pg_read_file"}');
CREATE INDEX account_tags ON account USING gin (tags);
CREATE TABLE audit (line text NOT NULL);
INSERT INTO audit VALUES ('made');
CREATE TABLE "copy" (i int);
CREATE TABLE "stdin" (i int);
CREATE TABLE "pg_terminate_backend" ("lo_import" int, "dblink" text);
INSERT INTO "pg_terminate_backend" VALUES (1, 'one');
CREATE TABLE "größe" ("maß" int);
INSERT INTO "größe" VALUES (42);
CREATE TABLE place (id int PRIMARY KEY, geom point NOT NULL);
INSERT INTO place VALUES (1, '(0,0)'), (2, '(3,4)'), (3, '(30,40)');
CREATE TABLE doomed (i int);
INSERT INTO doomed VALUES (1);
CREATE TABLE guarded (i int);
INSERT INTO guarded VALUES (1);
CREATE SEQUENCE ticket;
SELECT setval('ticket', 7);
CREATE MATERIALIZED VIEW totals AS SELECT sum(balance) AS total FROM account;
CREATE VIEW rich AS SELECT id, owner FROM account WHERE balance > 60;
SELECT lo_from_bytea(4242, 'precious');

CREATE FUNCTION wipe() RETURNS int LANGUAGE sql AS 'DELETE FROM account; SELECT 1';
CREATE FUNCTION wipe_in_plpgsql() RETURNS int LANGUAGE plpgsql AS 'BEGIN DELETE FROM account; RETURN 1; END';
CREATE FUNCTION unsealed() RETURNS int LANGUAGE sql SET default_transaction_read_only = off
    AS 'DELETE FROM account; SELECT 1';
CREATE FUNCTION run(sql text) RETURNS void LANGUAGE plpgsql AS 'BEGIN EXECUTE sql; END';
CREATE FUNCTION run_caught(sql text) RETURNS text LANGUAGE plpgsql AS
    'BEGIN EXECUTE sql; RETURN ''done''; EXCEPTION WHEN OTHERS THEN RETURN SQLSTATE; END';
CREATE FUNCTION never_cancelled() RETURNS void LANGUAGE plpgsql AS
    'BEGIN LOOP BEGIN PERFORM pg_sleep(60); EXCEPTION WHEN query_canceled THEN NULL; END; END LOOP; END';
CREATE FUNCTION noisy(count int) RETURNS int LANGUAGE plpgsql AS
    'BEGIN FOR n IN 1..count LOOP RAISE NOTICE ''%'', repeat(''x'', 1000); END LOOP; RETURN count; END';
CREATE PROCEDURE commit_and_wipe() LANGUAGE plpgsql AS 'BEGIN COMMIT; DELETE FROM account; END';
CREATE PROCEDURE rollback_and_wipe() LANGUAGE plpgsql AS 'BEGIN ROLLBACK; DELETE FROM account; COMMIT; END';
CREATE FUNCTION harmless_double(i int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN i * 2; END';

-- Named like built-in ones.
CREATE FUNCTION lower(text) RETURNS text LANGUAGE sql AS 'DELETE FROM account; SELECT $1';
CREATE FUNCTION set_config(text, text, boolean) RETURNS text LANGUAGE sql AS 'DELETE FROM account; SELECT $2';
CREATE FUNCTION pg_advisory_unlock_all() RETURNS void LANGUAGE sql AS 'DELETE FROM account';
CREATE FUNCTION plus(int, int) RETURNS int LANGUAGE sql AS 'DELETE FROM account; SELECT 1';
CREATE OPERATOR + (LEFTARG = int, RIGHTARG = int, FUNCTION = plus);
CREATE OPERATOR ~~~> (LEFTARG = int, RIGHTARG = int, FUNCTION = plus);

-- Where functions are called that nobody sees.
CREATE VIEW wiping AS SELECT wipe() AS gone;
CREATE FUNCTION is_fine(int) RETURNS boolean LANGUAGE sql AS 'DELETE FROM account; SELECT true';
CREATE DOMAIN checked AS int CHECK (is_fine(VALUE));
CREATE FUNCTION is_set(int) RETURNS boolean LANGUAGE plpgsql AS 'BEGIN
    PERFORM pg_catalog.set_config(''work_mem'', ''1GB'', false), pg_catalog.set_config(''app.x'', ''left'', false);
    EXECUTE ''LISTEN wall''; RETURN true; END';
CREATE DOMAIN setting AS int CHECK (is_set(VALUE));
CREATE FUNCTION is_counted(int) RETURNS boolean LANGUAGE sql AS 'SELECT nextval(''ticket'') > 0';
CREATE DOMAIN counted AS int CHECK (is_counted(VALUE));
CREATE AGGREGATE wiping_sum(int) (SFUNC = plus, STYPE = int);
CREATE TYPE wrapped AS (i int);
CREATE FUNCTION unwrap(wrapped) RETURNS int LANGUAGE sql AS 'DELETE FROM account; SELECT 1';
CREATE CAST (wrapped AS int) WITH FUNCTION unwrap(wrapped);
CREATE POLICY fine ON guarded USING (is_fine(i));
ALTER TABLE guarded ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS
    'BEGIN INSERT INTO audit VALUES (TG_OP); RETURN NULL; END';
CREATE TRIGGER noted AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON account FOR EACH STATEMENT EXECUTE FUNCTION note();
CREATE TRIGGER instead INSTEAD OF UPDATE ON wiping FOR EACH ROW EXECUTE FUNCTION note();
CREATE RULE also AS ON UPDATE TO "copy" DO ALSO DELETE FROM account;

-- As PostGIS has them.
CREATE SCHEMA gis;
CREATE FUNCTION gis.st_distance(a point, b point) RETURNS float8 LANGUAGE sql IMMUTABLE AS 'SELECT a <-> b';
CREATE FUNCTION gis.st_dwithin(a point, b point, distance float8) RETURNS boolean LANGUAGE sql IMMUTABLE
    AS 'SELECT gis.st_distance(a, b) <= distance';
CREATE FUNCTION gis.st_makepoint(x float8, y float8) RETURNS point LANGUAGE sql IMMUTABLE AS 'SELECT point(x, y)';
"""

_AS_SUPERUSER = """
CREATE FUNCTION wipe_as_superuser() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'DELETE FROM account; SELECT 1';
CREATE FUNCTION become_writable() RETURNS text LANGUAGE plpgsql SECURITY DEFINER AS
    'BEGIN PERFORM pg_catalog.set_config(''transaction_read_only'', ''off'', false); RETURN wipe(); END';
"""

_TABLES = (
    "account",
    "audit",
    '"copy"',
    '"stdin"',
    '"pg_terminate_backend"',
    '"größe"',
    "place",
    "doomed",
    "guarded",
    "totals",
)
# Changed by maintenance that runs by itself, or by nothing that would not be seen elsewhere too.
_UNWATCHED = (
    *("pg_statistic", "pg_statistic_ext_data", "pg_depend", "pg_shdepend", "pg_amop", "pg_amproc", "pg_operator"),
    *("pg_aggregate", "pg_init_privs", "pg_opclass", "pg_opfamily", "pg_conversion", "pg_ts_config_map", "pg_ts_dict"),
)
_ROWS = ", ".join(
    f"(SELECT md5(string_agg(t::text, '|' ORDER BY t::text)) FROM {each} AS t) AS {each}" for each in _TABLES
)
_UNTOUCHED = f"""
SELECT pg_current_wal_insert_lsn() AS written, {_ROWS},
    (SELECT (last_value, is_called)::text FROM ticket) AS ticket,
    (SELECT md5(string_agg(concat(loid, data), '|' ORDER BY loid)) FROM pg_largeobject) AS large_objects,
    (SELECT count(*) FROM pg_prepared_xacts) AS prepared_transactions,
    (SELECT count(*) FROM pg_replication_slots) AS slots,
    (SELECT count(*) FROM pg_ls_dir('.')) AS data_directory,
    (SELECT (size, modification)::text FROM pg_stat_file('postgresql.auto.conf')) AS auto_conf,
    pg_conf_load_time() AS configured,
    (SELECT stats_reset FROM pg_stat_database WHERE datname = current_database()) AS statistics_reset,
    (SELECT max(last_analyze) FROM pg_stat_user_tables) AS analyzed,
    (SELECT array_agg(concat(pid, ' ', backend_start, ' ', xact_start, ' ', state) ORDER BY pid) FROM pg_stat_activity
     WHERE pid = ANY ($1)) AS bystanders,
    (SELECT array_agg(DISTINCT concat(pid, locktype, classid, objid, mode)) FROM pg_locks
     WHERE pid = ANY ($1) AND locktype = 'advisory' AND granted) AS bystanders_locks,
    (SELECT count(*) FROM pg_stat_activity WHERE application_name = '{READER}' AND state <> 'idle') AS busy_readers,
    (SELECT array_agg(concat(l.locktype, ' ', l.relation::regclass, ' ', l.mode)) FROM pg_locks AS l
     JOIN pg_stat_activity AS a USING (pid) WHERE a.application_name = '{READER}') AS readers_locks
"""

# What a connection's next borrower can see of the former one, by that connection itself. PL/pgSQL brings settings of
# its own when it is first used; a sequence that was called stays locked as long as the transaction, if only so much.
CLEAN = """
SELECT current_user::text, session_user::text, current_schemas(true)::text AS schemas,
    (SELECT md5(string_agg(concat(name, '=', setting), '|' ORDER BY name)) FROM pg_catalog.pg_settings
     WHERE NOT starts_with(name, 'plpgsql.')) AS settings,
    pg_catalog.current_setting('transaction_read_only') AS read_only,
    nullif(pg_catalog.current_setting('app.x', true), '') AS own_setting,
    (SELECT array_agg(relname::text) FROM pg_catalog.pg_class WHERE relpersistence = 't') AS temporary,
    (SELECT array_agg(concat(name, ': ', statement)) FROM pg_catalog.pg_prepared_statements
     WHERE from_sql OR NOT starts_with(name, '__asyncpg_')) AS prepared,
    (SELECT array_agg(name) FROM pg_catalog.pg_cursors WHERE name <> '') AS cursors,
    (SELECT array_agg(c) FROM pg_catalog.pg_listening_channels() AS c) AS channels,
    (SELECT array_agg(concat(locktype, ' ', classid, ' ', objid, ' ', relname, ' ', mode) ORDER BY relname, mode)
     FROM pg_catalog.pg_locks LEFT JOIN pg_catalog.pg_class AS c ON c.oid = relation
     WHERE pid = pg_catalog.pg_backend_pid()
     AND (locktype = 'advisory' OR locktype = 'relation' AND mode <> 'AccessShareLock' AND relkind <> 'S')) AS locks
"""


@dataclass(slots=True)
class Victim:
    """One database under attack as one role, with sessions of the same role beside the attacker's.

    Attributes:
        dsn: the database as that role.
        version: PostgreSQL's major version.
        observer: who looks on, as superuser, and listens.
        heard: what was notified.
    """

    dsn: str
    version: int
    observer: Any
    heard: list[str]
    _sleeping: asyncio.Task[Any]
    _catalogs_question: str
    _bystanders: list[int]
    _baseline: dict[str, Any] = field(default_factory=dict)
    _catalogs: dict[str, Any] = field(default_factory=dict)
    _written: Any = None

    async def seen(self) -> dict[str, Any]:
        """Everything that no read may touch, as it is now."""
        row = dict(await self.observer.fetchrow(_UNTOUCHED, self._bystanders))
        # As long as nothing at all was written to the write-ahead log, no row of a catalog came, changed or went.
        if (written := row.pop("written")) != self._written:
            self._catalogs = dict(await self.observer.fetchrow(self._catalogs_question))
            self._written = written
        others = {"files": _files(), "heard": tuple(self.heard), "sleeping": not self._sleeping.done()}
        return {**row, **self._catalogs, **others}

    async def require_untouched(self) -> None:
        """Fail if anything has changed since `remember`. The attacker's connection has a moment to be cleaned."""
        ends_at = asyncio.get_running_loop().time() + _CLEANING_S
        while changes := changed(self._baseline, seen := await self.seen()):
            resting = seen["busy_readers"] == 0 and seen["readers_locks"] is None
            if resting or asyncio.get_running_loop().time() > ends_at:
                break
            await asyncio.sleep(0.005)
        assert not changes, changes

    async def cut_readers(self) -> None:
        """End the connections of the attacker's reads."""
        await self.observer.execute(
            f"SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = '{READER}'"
        )

    async def remember(self) -> None:
        """Take what is there now for right."""
        self._baseline = {**await self.seen(), "busy_readers": 0, "readers_locks": None}


def changed(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """What differs, as it was and as it is."""
    return {name: (before[name], after[name]) for name in before if before[name] != after[name]}


def _files() -> list[Path]:
    return list(Path("/tmp").glob(FILES))


@asynccontextmanager
async def make_victim(database: TestDatabase, dsn: str) -> AsyncIterator[Victim]:
    """Fill a database, and open the sessions that are to stay alive: one in a transaction, one busy."""
    for left in _files():
        left.unlink()
    observer = await asyncpg.connect(database.superuser_dsn)
    owner = await asyncpg.connect(database.owner_dsn)
    bystander, sleeper = await asyncpg.connect(dsn), await asyncpg.connect(dsn)
    heard: list[str] = []
    try:
        for extension in EXTENSIONS:
            if await observer.fetchval("SELECT true FROM pg_available_extensions WHERE name = $1", extension):
                await observer.execute(f"CREATE EXTENSION {extension}")
        await owner.execute(_OBJECTS)
        await owner.close()
        await observer.execute(_AS_SUPERUSER)
        await observer.execute("GRANT ALL ON SCHEMA public TO PUBLIC")
        await observer.execute("VACUUM ANALYZE")
        await observer.execute("ALTER DATABASE " + database.name + " SET jit = off")
        await observer.add_listener("wall", lambda *told: heard.append(str(told[-1])))
        await bystander.execute("LISTEN wall; BEGIN; SELECT pg_advisory_lock(1); INSERT INTO audit VALUES ('open')")
        sleeping = asyncio.create_task(sleeper.execute("SELECT pg_advisory_lock(2); SELECT pg_sleep(600)"))
        pids = [bystander.get_server_pid(), sleeper.get_server_pid()]
        async with asyncio.timeout(5):
            while not await observer.fetchval("SELECT true FROM pg_stat_activity WHERE wait_event = 'PgSleep'"):
                await asyncio.sleep(0.005)
        version = observer.get_server_version().major
        yield Victim(dsn, version, observer, heard, sleeping, await _catalogs_question(observer), pids)
        sleeper.terminate()
        await asyncio.wait([sleeping], timeout=5)
        assert sleeping.exception() is not None
    finally:
        for each in (observer, owner, bystander, sleeper):
            each.terminate()


async def _catalogs_question(observer: Any) -> str:
    """What is asked of the observer about the catalogs, which are watched by the transactions that wrote their rows."""
    catalogs = await observer.fetch(
        "SELECT relname::text FROM pg_class WHERE relnamespace = 'pg_catalog'::regnamespace AND relkind = 'r'"
        " AND relname <> ALL ($1::text[]) ORDER BY 1",
        _UNWATCHED,
    )
    watched = ", ".join(
        f"(SELECT concat(count(*), ' ', sum(hashint4(xmin::text::int8::int4))) FROM pg_catalog.{name}) AS {name}"
        for (name,) in catalogs
    )
    return f"SELECT {watched}"
