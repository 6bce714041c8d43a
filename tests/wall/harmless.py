"""Reads that mean no harm, next to those that do: each must be answered."""

from __future__ import annotations

from collections.abc import Iterator

from tests.wall.entries import Harmless


def _named(prefix: str, entries: dict[str, str | tuple[str, object]], since: int = 0) -> Iterator[Harmless]:
    for key, entry in entries.items():
        sql, value = entry if isinstance(entry, tuple) else (entry, ...)
        yield Harmless(f"{prefix}/{key.replace(' ', '-')}", sql, value, since=since)


_QUERIES = _named(
    "queries",
    {
        "one": ("SELECT 1", 1),
        "no columns": "SELECT FROM account",
        "in small letters": ("select count(*) from account", 4),
        "values": ("VALUES (1, 'a'), (2, 'b')", 1),
        "values with order": ("VALUES (2), (1) ORDER BY 1 LIMIT 1", 1),
        "table": ("TABLE account", 1),
        "table of a catalog": "TABLE pg_catalog.pg_am",
        "in parentheses": ("((SELECT 7))", 7),
        "union in parentheses": ("(SELECT 1) UNION ALL (SELECT 2 LIMIT 1) ORDER BY 1", 1),
        "intersect and except": ("SELECT 1 INTERSECT SELECT 1 EXCEPT SELECT 2", 1),
        "percentile_cont": (
            "SELECT PERCENTILE_CONT(0.5) WITHIN GROUP (ORDER BY balance::float8) FROM account WHERE id < 4",
            50.0,
        ),
        "percentile_disc of several": "SELECT percentile_disc(ARRAY[0.5, 1]) WITHIN GROUP (ORDER BY id) FROM account",
        "mode": ("SELECT mode() WITHIN GROUP (ORDER BY balance) FROM account", "50.00"),
        "rank within group": ("SELECT rank(3) WITHIN GROUP (ORDER BY id) FROM account", 3),
        "lateral": ("SELECT n FROM account AS a, LATERAL (SELECT a.id * 10 AS n) AS l ORDER BY n LIMIT 1", 10),
        "left join lateral": "SELECT * FROM account AS a LEFT JOIN LATERAL unnest(a.tags) AS t ON true",
        "natural and using": "SELECT * FROM account NATURAL JOIN rich JOIN place USING (id)",
        "full join": "SELECT * FROM account FULL JOIN place ON account.id = place.id",
        "recursive": (
            "WITH RECURSIVE r (n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM r WHERE n < 100) SELECT sum(n) FROM r",
            5050,
        ),
        "recursive with search and cycle": (
            (
                "WITH RECURSIVE r (n) AS (VALUES (1) UNION ALL SELECT n % 3 + 1 FROM r)"
                " SEARCH BREADTH FIRST BY n SET o CYCLE n SET looped USING path SELECT count(*) FROM r"
            ),
            4,
        ),
        "materialized": ("WITH a AS MATERIALIZED (SELECT 1 AS n), b AS NOT MATERIALIZED (TABLE a) SELECT * FROM b", 1),
        "nested with": ("WITH a AS (WITH b AS (SELECT 3 AS n) SELECT * FROM b) SELECT n FROM a", 3),
        "window": ("SELECT row_number() OVER (ORDER BY id DESC) FROM account ORDER BY 1 LIMIT 1", 1),
        "window frame": (
            "SELECT sum(balance) OVER w - lag(balance, 1, 0) OVER (ORDER BY id) FROM account"
            " WINDOW w AS (PARTITION BY balance > 0 ORDER BY id ROWS BETWEEN 1 PRECEDING AND CURRENT ROW EXCLUDE TIES)"
        ),
        "window groups": "SELECT nth_value(id, 2) OVER (ORDER BY balance GROUPS UNBOUNDED PRECEDING) FROM account",
        "grouping sets": "SELECT owner, grouping(id) FROM account GROUP BY GROUPING SETS ((id), ROLLUP (owner), ())",
        "cube": "SELECT count(*) FROM account GROUP BY CUBE (balance, owner)",
        "distinct on": ("SELECT DISTINCT ON (balance) id FROM account ORDER BY balance DESC, id", 1),
        "group by distinct": "SELECT count(*) FROM account GROUP BY DISTINCT ROLLUP (id), ROLLUP (id)",
        "filter": ("SELECT count(*) FILTER (WHERE balance > 0) FROM account", 3),
        "having": "SELECT balance FROM account GROUP BY 1 HAVING count(*) > 1",
        "string_agg in order": ("SELECT string_agg(owner, ',' ORDER BY id DESC) FROM account WHERE id < 3", "ben,ada"),
        "with ties": (
            "SELECT balance FROM account ORDER BY balance DESC OFFSET 1 FETCH FIRST 1 ROW WITH TIES",
            "50.00",
        ),
        "tablesample": ("SELECT count(*) FROM account TABLESAMPLE bernoulli (100) REPEATABLE (1)", 4),
        "rows from": (
            "SELECT b FROM ROWS FROM (generate_series(1, 3), unnest(ARRAY['x'])) WITH ORDINALITY AS r (a, b, o)",
            "x",
        ),
        "only": "SELECT * FROM ONLY account AS a (x, y) WHERE (x, y) > (1, 'a')",
        "exists": ("SELECT EXISTS (SELECT FROM account WHERE id = ANY (ARRAY[1, 9]))", True),
        "array slices": "SELECT tags[1:2], tags[:1], (ARRAY[[1, 2], [3, 4]])[2][1], cardinality(tags) FROM account",
        "array of a subquery": ("SELECT ARRAY(SELECT id FROM account ORDER BY id)", [1, 2, 3, 4]),
        "case": ("SELECT CASE id WHEN 1 THEN 'one' ELSE 'more' END FROM account ORDER BY id", "one"),
        "is distinct from": ("SELECT NULL IS NOT DISTINCT FROM NULL AND 1 BETWEEN SYMMETRIC 2 AND 0", True),
        "composite": ("SELECT (ROW(1, 'a')::record)::text, (a).owner, (a).* FROM account AS a", "(1,a)"),
        "whole row": "SELECT a FROM account AS a",
        "from a view": ("SELECT id FROM rich", 1),
        "from a materialized view": ("SELECT total FROM totals", "192.60"),
        "natural language": "SELECT 'a' LIKE 'A' OR 'a' ILIKE 'A' OR 'a' SIMILAR TO '(a|b)' OR 'a' ~* '^A$'",
    },
)

_FUNCTIONS = _named(
    "functions",
    {
        "regular expressions": ("SELECT regexp_replace('a-b-c', '[^a-z]', '', 'g')", "abc"),
        "regexp_matches": "SELECT (regexp_matches(owner, '(.)(.)'))[1] FROM account",
        "full text": ("SELECT to_tsvector('english', 'reads and writes') @@ to_tsquery('read & write')", True),
        "full text rank": "SELECT ts_rank(to_tsvector('a b'), plainto_tsquery('a')), ts_headline('a b', 'a'::tsquery)",
        "full text rewritten without sql": (
            "SELECT ts_rewrite('a & b'::tsquery, 'a'::tsquery, 'c'::tsquery)",
            "'b' & 'c'",
        ),
        "generate_series of days": "SELECT d FROM generate_series('2024-01-01'::timestamp, '2024-01-03', '1 day') AS d",
        "json operators": ("SELECT data #>> '{a,b,1}' FROM account WHERE data ? 'a' ORDER BY id", "2"),
        "json path": ("SELECT jsonb_path_query(data, '$.a.b[*] ? (@ > 2)')::int FROM account", 3),
        "json aggregates": "SELECT jsonb_object_agg(id, owner), json_agg(a ORDER BY id) FROM account AS a",
        "json to rows": ("SELECT a FROM jsonb_to_recordset('[{\"a\": 5}]') AS r (a int, b text)", 5),
        "json subscript": ("SELECT data['a']['b'][0]::int FROM account ORDER BY id", 1),
        "dates": "SELECT date_trunc('month', opened), extract(epoch FROM now()), age(opened), opened + 1 FROM account",
        "time zones": "SELECT now() AT TIME ZONE 'Europe/Berlin', timezone('UTC', now()), localtime(0)",
        "clock": "SELECT clock_timestamp(), statement_timestamp(), transaction_timestamp(), timeofday()",
        "text": (
            "SELECT overlay(trim(BOTH ' ' FROM ' abc ') PLACING 'x' FROM 1 FOR 1) || position('b' IN 'ab')",
            "xbc2",
        ),
        "format": ("SELECT format('%I is %L, %s', 'a b', 'c''d', 1)", "\"a b\" is 'c''d', 1"),
        "hashes": (
            "SELECT md5('a'), encode(sha256('a'), 'hex'), decode('YQ==', 'base64')",
            "0cc175b9c0f1b6a831c399e269772661",
        ),
        "greatest": ("SELECT greatest(1, 2, NULL), coalesce(NULL, 1), nullif(1, 1)", 2),
        "user-made": ("SELECT harmless_double(21)", 42),
        "user-made with a name": ("SELECT public.harmless_double(i => id) FROM account ORDER BY 1", 2),
        "caught error": ("SELECT run_caught('SELECT 1/0')", "22012"),
        "as of postgis": (
            (
                "SELECT gis.ST_Distance(geom, gis.ST_MakePoint(0, 0)) FROM place"
                " WHERE gis.ST_DWithin(geom, gis.ST_MakePoint(0, 0), 10) ORDER BY geom <-> point(0, 0) OFFSET 1"
            ),
            5.0,
        ),
        "geometry": "SELECT geom <@ circle '((0,0),6)', box(geom, '(1,1)'), geom[0] FROM place",
        "ranges": ("SELECT upper(int4range(1, 5)) - lower('[2,3]'::int4range)", 3),
        "casts": ("SELECT CAST('1' AS int) + '2'::int4 + int '3'", 6),
        "more casts": "SELECT '{1,2}'::int[], 'account'::regclass, B'101'::bit(3), 1::money, '1 day'::interval",
        "collations": 'SELECT owner FROM account ORDER BY owner COLLATE "C" DESC NULLS LAST, owner USING <',
        "collation for": "SELECT collation for (owner) FROM account",
        "numbers": ("SELECT 2 ^ 10 + |/ 4 + @ -1 + 7 % 4 + (5 # 1) + ~0", 1027.0),
        "random": "SELECT random() < 1, gen_random_uuid() IS NOT NULL",
        "sleep of no time": "SELECT pg_sleep(0)",
        "large object": ("SELECT convert_from(lo_get(4242), 'UTF8')", "precious"),
        "xml": "SELECT quote_ident('a'), quote_literal('b'), quote_nullable(NULL)",
        "attribute notation": ("SELECT (a.balance).abs FROM account AS a ORDER BY id", "100.10"),
        "attribute notation of a column": ("SELECT a.harmless_double FROM unnest(ARRAY[4]) AS a", 8),
        "operator by its full name": ("SELECT 1 OPERATOR(pg_catalog.+) 2", 3),
        "own setting": ("SELECT set_config('app.x', '1', true)", "1"),
        "own setting read back": ("SELECT set_config('app.x', '2', true) || current_setting('app.x')", "22"),
    },
)

_LOOKALIKES = _named(
    "lookalikes",
    {
        "string": ("SELECT 'pg_read_file(''/etc/passwd''); DROP TABLE account; COMMIT'", ...),
        "dollar string": ("SELECT $sql$ DO $$ BEGIN DELETE FROM account; END $$ $sql$", ...),
        "escape string": (r"SELECT E'\'; COMMIT; --'", "'; COMMIT; --"),
        "unicode string": (r"SELECT U&'\0043OMMIT'", "COMMIT"),
        "string over two lines": ("SELECT 'COM'\n'MIT'", "COMMIT"),
        "comment": ("SELECT /* DROP TABLE account; */ 1 -- COMMIT", 1),
        "nested comment": ("SELECT /* /* COMMIT */ DELETE FROM account */ 1", 1),
        "comment in front": ("-- DELETE FROM account\n/* COPY account TO STDOUT */ SELECT 1", 1),
        "alias": ('SELECT 1 AS dblink, 2 AS "COMMIT", 3 AS lo_import, 4 AS pg_read_file', 1),
        "alias without as": ("SELECT 1 dblink", 1),
        "alias of a table": ("SELECT dblink.id FROM account AS dblink ORDER BY 1", 1),
        "alias with dollars": ("SELECT 1 AS a$$", 1),
        "column": ('SELECT "lo_import" FROM pg_terminate_backend', 1),
        "column of another": ("SELECT dblink FROM public.pg_terminate_backend", "one"),
        "table": ('SELECT count(*) FROM "copy", "stdin"', 0),
        "table named by a word": ("TABLE copy", ...),
        "common table": ("WITH query_to_xml AS (SELECT 1 AS n) SELECT n FROM query_to_xml", 1),
        "name of a function as text": ("SELECT 'pg_read_file(text)'::regprocedure", "pg_read_file(text)"),
        "function by its name": (
            "SELECT count(*) FROM pg_proc WHERE proname IN ('pg_read_file', 'lo_unlink') AND pronargs = 1",
            2,
        ),
        "definition": "SELECT pg_get_functiondef('pg_terminate_backend'::regproc)",
        "privilege": "SELECT has_function_privilege('pg_read_file(text)', 'execute')",
        "words of commands": ("SELECT begin, commit, copy FROM (VALUES (1, 2, 3)) AS v (begin, commit, copy)", 1),
        "words of settings": ("SELECT set, reset, listen FROM (VALUES (1, 2, 3)) AS v (set, reset, listen)", 1),
        "unicode names": ('SELECT "maß" FROM größe', 42),
        "escaped unicode names": (r'SELECT U&"ma\00df" FROM "größe" AS U&"d\0061ta"', 42),
        "unicode alias": ('SELECT 1 AS "名前", 2 AS "🐘", 3 AS été', 1),
        "quoted name with everything": ('SELECT 1 AS "a"";COMMIT--"', 1),
        "for update in a string": ("SELECT 'FOR UPDATE'", "FOR UPDATE"),
        "update as a column": ("SELECT update FROM (SELECT 5 AS update) AS t", 5),
        "for in substring": ("SELECT substring('abc' FROM 2 FOR 1)", "b"),
        "into in a string": ("SELECT 'SELECT 1 INTO x'", ...),
        "space of every kind": ("\t\r\n\fSELECT\t1\f;", 1),
        "trailing semicolon": ("SELECT 1;", 1),
        "trailing semicolons": ("SELECT 1 ;; ; -- done\n;", 1),
        "trailing comment": ("SELECT 1; /* done */ -- really", 1),
        "leading semicolon": (";SELECT 1", 1),
        "zero width space in a string": ("SELECT '\u200b\u00a0\ufeff'", "\u200b\u00a0\ufeff"),
    },
)

_CATALOGS = _named(
    "catalogs",
    {
        "show": ("SHOW transaction_read_only", "on"),
        "show all": "SHOW ALL",
        "show time zone": "SHOW TIME ZONE",
        "show authorization": "SHOW SESSION AUTHORIZATION",
        "show isolation": ("SHOW TRANSACTION ISOLATION LEVEL", "read committed"),
        "current_setting": ("SELECT current_setting('transaction_read_only')", "on"),
        "settings": "SELECT name, setting, unit FROM pg_settings WHERE category LIKE 'Autovacuum'",
        "tables": "SELECT table_schema, table_name FROM information_schema.tables WHERE table_type = 'BASE TABLE'",
        "columns": "SELECT column_name, data_type FROM information_schema.columns WHERE table_name = 'account'",
        "foreign keys": (
            "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = 'account'::regclass"
        ),
        "indexes": "SELECT pg_get_indexdef(indexrelid), idx_scan FROM pg_stat_user_indexes",
        "view": "SELECT pg_get_viewdef('rich'::regclass, true), definition FROM pg_views WHERE viewname = 'rich'",
        "comments": "SELECT obj_description(oid), col_description(oid, 1) FROM pg_class WHERE relname = 'account'",
        "size": "SELECT pg_size_pretty(pg_relation_size('account')), pg_total_relation_size('account')",
        "size of a database": "SELECT pg_size_pretty(pg_database_size(current_database()))",
        "activity": "SELECT pid, state, query FROM pg_stat_activity WHERE pid = pg_backend_pid()",
        "blocked": "SELECT pid, pg_blocking_pids(pid) FROM pg_stat_activity WHERE wait_event_type = 'Lock'",
        "locks": "SELECT mode, relation::regclass FROM pg_locks WHERE NOT granted OR pid = pg_backend_pid()",
        "statements": "SELECT count(*) FROM pg_stat_statements",
        "table statistics": "SELECT relname, n_live_tup, last_vacuum FROM pg_stat_user_tables",
        "databases": "SELECT datname, numbackends, stats_reset FROM pg_stat_database",
        "replication": "SELECT * FROM pg_stat_replication, pg_replication_slots",
        "wal": "SELECT pg_current_wal_lsn(), pg_wal_lsn_diff('0/2', '0/1'), pg_is_in_recovery()",
        "transactions": "SELECT txid_current_if_assigned(), pg_current_snapshot(), txid_current_snapshot()",
        "transaction id": "SELECT pg_xact_status(xmin::text::xid8), xmin FROM account",
        "privileges": "SELECT has_table_privilege('account', 'SELECT'), pg_has_role('pg_monitor', 'USAGE')",
        "server": "SELECT version(), current_database(), current_schema, pg_postmaster_start_time()",
        "sequence": ("SELECT last_value FROM ticket", 7),
        "sequences": "SELECT last_value, pg_sequence_last_value('ticket') FROM pg_sequences",
        "extensions": "SELECT extname, extversion FROM pg_extension ORDER BY 1",
        "functions": "SELECT oid::regprocedure, prosrc FROM pg_proc WHERE prokind = 'f' LIMIT 9",
        "large objects": ("SELECT count(*) FROM pg_largeobject_metadata", 1),
    },
)

_EXPLAINED = _named(
    "explained",
    {
        "plain": "EXPLAIN SELECT * FROM account WHERE id = 1",
        "with options": "EXPLAIN (VERBOSE, COSTS off, FORMAT json) SELECT count(*) FROM account",
        "analyzed": "EXPLAIN ANALYZE SELECT * FROM account",
        "analyzed in parentheses": "EXPLAIN (ANALYZE, BUFFERS, TIMING off) WITH a AS (TABLE account) SELECT * FROM a",
        "values": "EXPLAIN VALUES (1)",
        "table": "EXPLAIN TABLE account",
    },
)

_NEWER = (
    *_named("newer", {"any_value": ("SELECT any_value(id) FROM account WHERE id = 1", 1)}, since=16),
    *_named("newer", {"is json": ("SELECT '{\"a\": 1}' IS JSON OBJECT WITH UNIQUE KEYS", True)}, since=16),
    *_named("newer", {"json_object": ("SELECT JSON_OBJECT('a': 1 ABSENT ON NULL)->>'a'", "1")}, since=16),
    *_named("newer", {"json_array": ("SELECT JSON_ARRAY(SELECT id FROM account ORDER BY id)->>0", "1")}, since=16),
    *_named("newer", {"numbers": ("SELECT 1_000 + 0x10 + 0o7 + 0b1", 1024)}, since=16),
    *_named("newer", {"subquery without alias": ("SELECT * FROM (SELECT 5)", 5)}, since=16),
    *_named(
        "newer",
        {
            "json_table": (
                (
                    "SELECT n FROM JSON_TABLE('[{\"n\": 3}]', '$[*]' COLUMNS (o FOR ORDINALITY, n int PATH '$.n',"
                    " NESTED PATH '$.x[*]' COLUMNS (x text PATH '$'))) AS j"
                ),
                3,
            ),
            "json_value": ("SELECT JSON_VALUE('{\"a\": [1, 2]}', '$.a[$i]' PASSING 1 AS i RETURNING int)", 2),
            "json_query": ("SELECT JSON_QUERY('{\"a\": [1]}', '$.a' WITH WRAPPER)->0->>0", "1"),
            "json_exists": ("SELECT JSON_EXISTS('{\"a\": 1}', '$.a')", True),
            "at local": "SELECT now() AT LOCAL",
        },
        since=17,
    ),
    *_named(
        "newer",
        {
            "uuid": "SELECT uuid_extract_version(uuidv7())",
            "casefold": ("SELECT casefold('A' COLLATE \"pg_c_utf8\")", "a"),
        },
        since=18,
    ),
)

_PARAMETERS = (
    Harmless("parameters/number", "SELECT $1::int + 1", 42, (41,)),
    Harmless("parameters/text", "SELECT owner FROM account WHERE owner = $1", "ada", ("ada",)),
    Harmless("parameters/array", "SELECT count(*) FROM account WHERE id = ANY ($1::int[])", 2, ([1, 2],)),
    Harmless("parameters/json", "SELECT $1::jsonb->>'a'", "1", ({"a": 1},)),
    Harmless("parameters/null", "SELECT $1::text IS NULL", True, (None,)),
    Harmless("parameters/twice", "SELECT $2::text || $1::text || $2::text", "bab", ("a", "b")),
    Harmless("parameters/that-looks-like-sql", "SELECT $1::text", "1; COMMIT", ("1; COMMIT",)),
    Harmless("parameters/in-limit", "SELECT id FROM account ORDER BY id LIMIT $1 OFFSET $2", 2, (1, 1)),
)


def _large() -> Iterator[Harmless]:
    """Large, as queries that programs make are large."""
    ids = ", ".join(map(str, range(10_000)))
    yield Harmless("large/in-list", f"SELECT count(*) FROM account WHERE id IN ({ids})", 4)
    rows = ", ".join(f"({n}, 'name {n}')" for n in range(5_000))
    yield Harmless("large/values", f"SELECT count(*) FROM (VALUES {rows}) AS v (id, name)", 5_000)
    yield Harmless("large/literal", f"SELECT length('{'é' * 200_000}')", 200_000)
    yield Harmless(
        "large/conditions", "SELECT count(*) FROM account WHERE " + " OR ".join(f"id = {n}" for n in range(1_000)), 4
    )
    yield Harmless("large/sum", "SELECT " + " + ".join(["1"] * 500), 500)
    yield Harmless("large/concatenation", "SELECT length(" + " || ".join(["'a'"] * 300) + ")", 300)
    yield Harmless("large/parentheses", f"SELECT {'(' * 200}1{')' * 200}", 1)
    yield Harmless("large/calls", f"SELECT {'harmless_double(' * 20}1{')' * 20}", 2**20)
    yield Harmless("large/coalesces", f"SELECT {'coalesce(NULL, ' * 100}1{')' * 100}", 1)
    yield Harmless("large/selects", "SELECT a FROM (" * 50 + "SELECT 1 AS a" + ") AS t" * 50, 1)
    yield Harmless("large/unions", " UNION ALL ".join(f"SELECT {n}" for n in range(1, 300)), 1)
    yield Harmless(
        "large/cases", "SELECT CASE " + " ".join(f"WHEN {n} = 499 THEN {n}" for n in range(500)) + " END", 499
    )
    nested = "CASE WHEN false THEN 0 ELSE " * 60 + "1" + " END" * 60
    yield Harmless("large/nested-cases", f"SELECT {nested}", 1)
    yield Harmless("large/columns", "SELECT " + ", ".join(f"{n} AS c{n}" for n in range(1, 1_000)), 1)
    tables = "".join(f", t{n} AS (SELECT a + 1 AS a FROM t{n - 1})" for n in range(1, 40))
    yield Harmless("large/common-tables", f"WITH t0 AS (SELECT 1 AS a){tables} SELECT a FROM t39", 40)


HARMLESS_READS: tuple[Harmless, ...] = (
    *(*_QUERIES, *_FUNCTIONS, *_LOOKALIKES, *_CATALOGS, *_EXPLAINED, *_NEWER, *_PARAMETERS, *_large()),
)
