"""Calls that a good client may make, by the hundred: each leaves the database as it was."""

from __future__ import annotations

from typing import Any

from tests.e2e.doors.asking import call
from tests.e2e.doors.pair import Row


def _any(*values: Any) -> tuple[Any, ...]:
    return values


# Types, and values that are hard to write.
_VALUES = (
    *(
        "NULL::int",
        "true",
        "32767::smallint",
        "2147483647",
        "9007199254740991",
        "9007199254740993",
        "-9223372036854775808",
    ),
    *("0.1::real", "1e308::float8", "'NaN'::float8", "'-Infinity'::float8", "'-0'::float8", "1.50", "'NaN'::numeric"),
    *(
        "10::numeric ^ 40",
        "0.000000000000000000001",
        "'infinity'::numeric",
        "'$1.50'::money",
        "''",
        "'a''b'",
        "'x'::char(5)",
    ),
    *("date '2026-02-28'", "date 'infinity'", "date '0044-03-15 BC'", "time '24:00'", "timetz '12:00+02'"),
    *("timestamp '2026-01-01 00:00:00.000001'", "timestamptz '2026-01-01 00:00:00+05:30'", "interval '1 year -2 days'"),
    *("'\\xdeadbeef'::bytea", "uuid 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'", '\'{"a": [1, null, "ü"]}\'::jsonb'),
    *(
        "'{ \"b\" : 1.0 }'::json",
        "'1e400'::jsonb",
        "ARRAY[1, NULL, 3]",
        "ARRAY[[1, 2], [3, 4]]",
        "'{}'::int[]",
        "ROW(1, 'a')",
    ),
    *("int4range(1, 5)", "'{[1,2),[5,6)}'::int4multirange", "point '(1,2)'", "box '(1,2),(3,4)'", "inet '10.0.0.0/8'"),
    *(
        "macaddr '08:00:2b:01:02:03'",
        "B'1010'",
        "'a & b'::tsquery",
        "to_tsvector('simple', 'a b')",
        "xmlelement(name a)",
    ),
    *(
        "'pg_class'::regclass",
        "'calm'::mood",
        "(SELECT item FROM item WHERE id = 1)",
        "ARRAY['calm']::mood[]",
        "'0/1'::pg_lsn",
    ),
)
# What hides in texts, or is not one character for one byte, letter or unit.
_TEXTS = (
    *(
        "ü",
        "日本語",
        "🐘",
        "👩‍👩‍👧‍👦",
        "e\u0301",
        "\u202eleft",
        "\u2066isolate\u2069",
        "\u200f",
        "\ufeff",
        "\ufffe",
        "\uffff",
        "\u2028\u2029",
    ),
    *(
        "\x01",
        "\x08\t\n\r\x0c",
        "\x1b[31m",
        "\x7f",
        "\x85\x9f",
        "\U000e0041",
        "\U0010ffff",
        "\\",
        '"',
        "</script>",
        "' OR 1=1 --",
        "a|b",
        "a,b",
    ),
    *("\x00", "nul\x00within", "\\u0041", "%s", "$1", "{}", "  ", "=HYPERLINK()"),
)
_HOSTILE = (
    *("SELECT 1; DROP TABLE item", "COMMIT", "ROLLBACK; SELECT 1", "SET ROLE coldquery_owner", "RESET ALL", "BEGIN"),
    *("SELECT pg_read_file('/etc/passwd')", "COPY item TO PROGRAM 'true'", "DO $$ BEGIN COMMIT; END $$", "LISTEN x"),
    *(
        "SELECT pg_terminate_backend(pg_backend_pid())",
        "SELECT set_config('role', 'coldquery_owner', false)",
        "--",
        "/*",
    ),
    *(
        "SELECT * FROM item FOR UPDATE",
        "EXPLAIN ANALYZE DELETE FROM item",
        "PREPARE p AS SELECT 1",
        "",
        ";",
        "SELECT 'x",
    ),
    *(
        "WITH w AS (DELETE FROM item RETURNING *) SELECT * FROM w",
        "SELECT dblink('x')",
        "VACUUM",
        "NOTIFY x, 'y'",
        "\ufeffSELECT 1",
    ),
    *(
        "SELECT U&\"pg\\005fread\\005ffile\"('/etc/passwd')",
        "CREATE TEMP TABLE t (i int)",
        "SELECT lo_import('/etc/passwd')",
    ),
)
_WRONG_SQL = (
    *(
        "SELEC 1",
        "SELECT",
        "SELECT * FROM nowhere",
        "SELECT nam FROM item",
        "SELECT * FROM pblic.item",
        "SELECT itm.id FROM item",
    ),
    *(
        "SELECT 1/0",
        "SELECT 'a'::int",
        "SELECT nofunction(1)",
        "SELECT fall()",
        "SELECT write_it()",
        "SELECT nextval('number')",
    ),
    *(
        "SELECT * FROM secret",
        "SELECT $1",
        "SELECT 2147483647 + 1",
        "SELECT 'ü' || 1/0 AS \"ö\"",
        "SELECT '{'::jsonb",
        "SELECT (1, 2).f3",
    ),
)
_BATCHES: tuple[Any, ...] = (
    *(
        [{"sql": "SELECT 1"}],
        [{"sql": "SELECT $1::int", "params": [5]}, {"sql": "SELECT 2"}],
        [],
        [{}],
        [{"sql": 1}],
        {},
    ),
    *(
        [{"sql": "SELECT 1"}, {"sql": "SELECT 1/0"}],
        [{"sql": "SELECT 1", "more": 1}],
        [{"sql": "COMMIT"}],
        [None],
        "SELECT 1",
    ),
    *([{"sql": "INSERT INTO item VALUES (50, 'fifty')"}, {"sql": "DELETE FROM item WHERE id = 50"}],),
    *(
        [{"sql": "SELECT 1"}] * 1001,
        [{"sql": "INSERT INTO item VALUES (51, 'x')"}, {"sql": "INSERT INTO item VALUES (51, 'y')"}],
    ),
)
_WRONG_ARGUMENTS: tuple[dict[str, Any], ...] = (
    *(
        {},
        {"action": "read"},
        {"sql": "SELECT 1"},
        {"action": "reed", "sql": "SELECT 1"},
        {"action": None},
        {"action": 7},
        {"action": []},
    ),
    *(
        {"action": "read", "sql": 7},
        {"action": "read", "sql": None},
        {"action": "read", "sql": "SELECT 1", "parms": []},
    ),
    *({"action": "read", "sql": "SELECT 1", "params": each} for each in _any({}, "x", 1, True, None, [])),
    *(
        {"action": "read", "sql": "SELECT 1", "max_rows": each}
        for each in _any(0, -1, 1001, 10**30, 1.0, 1.5, "1", True, None, [])
    ),
    *({"action": "read", "sql": "SELECT 1", "timeout_ms": each} for each in (0, 600_001, "5", None)),
    *({"action": "read", "sql": "SELECT 1", "format": each} for each in ("xml", "TABLE", "", 1, None)),
    *(
        {"action": "read", "sql": "SELECT 1", "session_id": each}
        for each in ("", "nobody", "x" * 1000, "ü", "\x00", 1, None)
    ),
    *(
        {"action": "read", "sql": "SELECT 1", each: True}
        for each in ("autocommit", "analyze", "ü", "\x1b", "x" * 1000, "", "sql ")
    ),
    *({"action": "write", "sql": "SELECT 1"}, {"action": "write", "sql": "SELECT 1", "autocommit": False}),
    *(
        {"action": "write", "sql": "SELECT 1", "autocommit": True, "session_id": "nobody"},
        {"action": "explain", "analyze": 1},
    ),
    *({"action": "transaction"}, {"action": "transaction", "operations": [{"sql": "SELECT 1"}], "autocommit": False}),
    *(
        {"action": "transaction", "operations": [{"sql": "SELECT 1"}], "isolation_level": each}
        for each in ("SERIALIZABLE", "x", 1)
    ),
    {each: each for each in "abcdefghij"},
)
_PARAMETERS: tuple[tuple[str, list[Any]], ...] = (
    *(("SELECT $1::int", [each]) for each in _any(1, -1, "1", "x", 1.5, None, True, [], {}, 2**31, 10**30)),
    *(("SELECT $1::text", [each]) for each in _any("a", 1, None, True, [1, "a"], {"a": 1}, 1.0, 10**30)),
    *(
        ("SELECT $1::jsonb", [each])
        for each in _any({"a": None}, [1], "a", 1, None, {"ü": "🐘"}, 2**63, 0.1, {"a": {"b": [{}]}})
    ),
    *(
        ("SELECT $1::int[], $2::numeric", [[1, None], "1.50"]),
        ("SELECT $1::date", ["2026-01-31"]),
        ("SELECT $1::bytea", ["\\x00ff"]),
    ),
    *(
        ("SELECT $1::bool", [False]),
        ("SELECT $1::mood", ["calm"]),
        ("SELECT $1::mood", ["gone"]),
        ("SELECT 1", [1]),
        ("SELECT $1::float8", [1e308]),
    ),
    *(
        ("SELECT $1", ["unknown"]),
        ("SELECT $1::int + $2::int", [1]),
        ("SELECT $2::int", [1, 2]),
        ("SELECT $1::timestamptz", ["2026-01-01T00:00:00Z"]),
    ),
)

_SCHEMA: tuple[dict[str, Any], ...] = (
    *(
        {"action": "list"},
        {"action": "list", "schema": "public"},
        {"action": "list", "pattern": "item%"},
        {"action": "list", "schema": "pblic"},
    ),
    *(
        {"action": "list", "target": each, "schema": "public"}
        for each in ("table", "view", "materialized_view", "sequence", "function", "index", "type")
    ),
    *({"action": "list", "target": each} for each in ("schema", "extension", "role", "trigger", "nothing")),
    *({"action": "list", "schema": "public", "detail": each} for each in ("names", "summary", "full")),
    *(
        {"action": "list", "schema": "public", "limit": 2, "offset": 1},
        {"action": "list", "limit": -1},
        {"action": "list", "include_sizes": True},
    ),
    *(
        {"action": "describe", "name": each}
        for each in ("item", ["item", "part"], "itm", "dear", "cheap", "number", "write_it", "mood", "")
    ),
    *(
        {"action": "describe", "name": each}
        for each in ('"Odd ""na""me"."täble 🐘"', ["item", "nowhere"], "part_item", [], 7, ["x"] * 21)
    ),
    *({"action": "describe", "name": "item", "detail": each} for each in ("names", "summary")),
    *(
        {"action": "create", "sql": "CREATE TABLE t (i int)"},
        {"action": "create", "sql": "DROP TABLE item", "autocommit": True},
    ),
    *(
        {"action": "drop", "target": "table", "name": "nowhere", "autocommit": True},
        {"action": "drop", "target": "table", "name": "item", "autocommit": True},
    ),
    *(
        {"action": "drop", "target": "table", "name": "nowhere", "if_exists": True, "autocommit": True},
        {"action": "alter", "autocommit": True},
    ),
    {"action": "alter", "target": "table", "name": "item", "change": "comment", "comment": "hällo", "autocommit": True},
    {
        "action": "create",
        "target": "table",
        "name": "item",
        "columns": [{"name": "id", "type": "int"}],
        "if_not_exists": True,
        "autocommit": True,
    },
    {
        "action": "create",
        "target": "table",
        "name": "item",
        "columns": [{"name": "id", "type": "int"}],
        "autocommit": True,
    },
)
_ADMIN: tuple[dict[str, Any], ...] = (
    *({"action": each} for each in ("vacuum", "analyze", "reindex", "settings", "nothing")),
    *({"action": "settings", "setting_name": each} for each in ("work_mem", "wrk_mem", "server_version", "")),
    *(
        {"action": "settings", "pattern": "%vacuum%", "limit": 3},
        {"action": "settings", "setting_name": "work_mem", "setting_value": "1MB"},
    ),
    *(
        {"action": "stats", "table": "nowhere"},
        {"action": "stats", "table": "item", "index": "part_item"},
        {"action": "stats", "schema": "public"},
    ),
    *(
        {"action": "vacuum", "schema": "public", "autocommit": True},
        {"action": "vacuum", "table": "dear", "autocommit": True},
    ),
    *({"action": "reindex", "autocommit": True}, {"action": "vacuum", "full": True, "autocommit": True}),
)
_MOVING: tuple[tuple[str, dict[str, Any]], ...] = (
    *(
        ("pg_monitor", {"action": each})
        for each in ("health", "activity", "connections", "locks", "size", "slow_queries", "progress")
    ),
    *(
        ("pg_monitor", {"action": "slow_queries", "order_by": each, "limit": 5})
        for each in ("mean", "calls", "rows", "io")
    ),
    *(
        ("pg_monitor", {"action": "health", "checks": ["connections"]}),
        ("pg_monitor", {"action": "activity", "include_idle": True, "limit": 500}),
    ),
    *(
        ("pg_monitor", {"action": "size", "schema": "public", "limit": 3}),
        ("pg_monitor", {"action": "size", "database": "postgres"}),
    ),
    ("pg_admin", {"action": "stats"}),
    *(("pg_admin", {"action": "stats", each: name}) for each, name in (("table", "item"), ("index", "part_item"))),
    *(("pg_admin", {"action": each, "table": "item", "autocommit": True}) for each in ("vacuum", "analyze", "reindex")),
    *(("pg_admin", {"action": "vacuum", "table": "item", "verbose": True, "analyze": True, "autocommit": True}),),
    *(("pg_admin", {"action": "reindex", "index": "part_item", "concurrently": True, "autocommit": True}),),
    *(
        ("pg_query", {"action": "explain", "sql": "SELECT * FROM item", "analyze": True, "format": each})
        for each in ("table", "markdown")
    ),
)
_MONITOR: tuple[dict[str, Any], ...] = (
    *({"action": "health", "checks": each} for each in ([], ["nothing"], "x")),
    *({"action": "activity", "limit": each} for each in (0, 501, "5")),
    *(
        {"action": "activity", "database": "nowhere"},
        {"action": "size", "schema": "nowhere"},
        {"action": "size", "database": ""},
    ),
    *({"action": "slow_queries", "order_by": "x"}, {"action": "locks", "limit": 1}, {}),
)
_TX: tuple[dict[str, Any], ...] = (
    *(
        {"action": "list"},
        {"action": "begun"},
        {"action": "commit"},
        {"action": "commit", "session_id": "nobody"},
        {"action": "status", "session_id": ""},
    ),
    *(
        {"action": "savepoint", "session_id": "nobody", "savepoint_name": "a"},
        {"action": "begin", "isolation_level": "x"},
    ),
    *({"action": "begin", "idle_timeout_s": each} for each in (0, -1, "x")),
    *({"action": "begin", "label": "x" * 201}, {"action": "begin", "deferrable": 1}),
)
_READS: tuple[dict[str, Any], ...] = (
    *({"sql": "SELECT * FROM item ORDER BY id", "format": each} for each in ("table", "objects", "csv", "markdown")),
    *(
        {"sql": "SELECT i FROM generate_series(1, 2000) AS i", "format": each}
        for each in ("table", "objects", "csv", "markdown")
    ),
    *({"sql": "SELECT i FROM generate_series(1, 2000) AS i", "max_rows": each} for each in (1, 999, 1000)),
    *({"sql": "SELECT repeat('ü', 900) FROM generate_series(1, 90)", "format": each} for each in ("table", "csv")),
    *(
        {"sql": "SELECT repeat('🐘', 50000) AS long", "format": each}
        for each in ("table", "objects", "csv", "markdown")
    ),
    *(
        {"sql": "SELECT string_agg(repeat('x', 1000), '') OVER (ORDER BY i) FROM generate_series(1, 99) AS i"},
        {"sql": "SELECT"},
    ),
    *({"sql": 'SELECT 1 AS a, 2 AS a, 3 AS "ä b"', "format": each} for each in ("table", "objects", "csv", "markdown")),
    *(
        {"sql": "SELECT say()"},
        {"sql": "SHOW work_mem"},
        {"sql": "VALUES (1), (2)"},
        {"sql": "TABLE item"},
        {"sql": "SELECT FROM item"},
    ),
    *({"sql": "SELECT pg_sleep(5)", "timeout_ms": 50}, {"sql": "SELECT 1", "timeout_ms": 10_000}),
)
_ALONE = (
    *(
        "INSERT INTO item VALUES (60, 'sixty')",
        "UPDATE item SET name = 'sixty-one' WHERE id = 60 RETURNING *",
        "INSERT INTO item VALUES (60, 'again')",
    ),
    *(
        "INSERT INTO item (id) VALUES (61)",
        "INSERT INTO item VALUES (61, 'x', -1)",
        "INSERT INTO part VALUES (1, 12345)",
    ),
    *(
        "DELETE FROM item WHERE id = 60",
        "VACUUM part",
        "SET work_mem = '1MB'",
        "CREATE TABLE brief (i int)",
        "DROP TABLE brief",
        "SELECT say()",
    ),
    *(
        "DO $$ BEGIN RAISE NOTICE 'here'; END $$",
        "COMMIT",
        "CREATE INDEX CONCURRENTLY IF NOT EXISTS part_note ON part (note)",
        "DROP INDEX part_note",
    ),
)

QUERIES = [
    *(Row(f"value {each}", call("pg_query", action="read", sql=f"SELECT {each} AS v")) for each in _VALUES),
    *(
        Row(f"text {each!a}", call("pg_query", action="read", sql="SELECT $1::text AS v", params=[each]))
        for each in _TEXTS
    ),
    *(Row(f"name {each!a}", call("pg_query", action="read", sql=f'SELECT 1 AS "{each}"')) for each in _TEXTS),
    *(
        Row(f"csv {each!a}", call("pg_query", action="read", sql="SELECT $1::text", params=[each], format="csv"))
        for each in _TEXTS
    ),
    *(Row(f"{sql} {given}"[:80], call("pg_query", action="read", sql=sql, params=given)) for sql, given in _PARAMETERS),
    *(Row(f"read {each}"[:80], call("pg_query", action="read", **each)) for each in _READS),
    *(Row(f"hostile read {each!a}", call("pg_query", action="read", sql=each)) for each in _HOSTILE),
    *(Row(f"wrong {each!a}", call("pg_query", action="read", sql=each)) for each in _WRONG_SQL),
    *(Row(f"explain {each!a}", call("pg_query", action="explain", sql=each)) for each in (*_WRONG_SQL, "TABLE item")),
    *(Row(f"arguments {each}"[:80], call("pg_query", **each)) for each in _WRONG_ARGUMENTS),
]
WRITES = [
    *(Row(f"batch {each}"[:80], call("pg_query", action="transaction", operations=each)) for each in _BATCHES),
    *(Row(f"alone {each}"[:80], call("pg_query", action="write", sql=each, autocommit=True)) for each in _ALONE),
]
OTHER_TOOLS = [
    *(Row(f"pg_schema {each}"[:90], call("pg_schema", **each)) for each in _SCHEMA),
    *(Row(f"pg_admin {each}"[:90], call("pg_admin", **each)) for each in _ADMIN),
    *(Row(f"pg_monitor {each}"[:90], call("pg_monitor", **each)) for each in _MONITOR),
    *(Row(f"pg_tx {each}"[:90], call("pg_tx", **each)) for each in _TX),
    *(Row(f"{tool} {each}"[:90], call(tool, **each), is_moving=True) for tool, each in _MOVING),
]
