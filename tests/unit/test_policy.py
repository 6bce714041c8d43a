"""The pure verdicts on what may be a read."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coldquery.errors import Code, Refusal
from coldquery.policy import check_explained, check_read

PAGE = (Path(__file__).parents[2] / "docs" / "safety.md").read_text()
# Of the table of what is refused by name, as far as it lists functions; a star stands for the rest of a name.
_LISTED = re.findall(r"`([a-z_\d]+\*?)`", PAGE[PAGE.index("| what | which |") : PAGE.index("| settings that guard |")])
_NOT_ALWAYS_REFUSED = {"lo_*", "lo_get", "xact_lock", "explain", "hypothetical_indexes"}


def refused(sql: str) -> Refusal:
    with pytest.raises(Refusal) as caught:
        check_read(sql)
    return caught.value


@pytest.mark.parametrize(
    "sql",
    [
        "COMMIT",
        "/* x */ rollback",
        "begin",
        "Savepoint a",
        "END",
        "START TRANSACTION",
        "RELEASE a",
        "abort",
        "; COMMIT",
    ],
)
def test_transaction_control_is_refused_with_what_to_do_instead(sql: str) -> None:
    refusal = refused(sql)
    assert refusal.code is Code.STATEMENT_NOT_ALLOWED
    assert "without transaction control" in refusal.next


@pytest.mark.parametrize(
    "sql",
    [
        "COPY t TO STDOUT",
        "copy t from stdin",
        "LISTEN c",
        "NOTIFY c",
        "SET search_path = x",
        "RESET ALL",
        "DISCARD ALL",
        "PREPARE x AS SELECT 1",
        "EXECUTE x",
        "DECLARE c CURSOR FOR SELECT 1",
        "FETCH ALL FROM c",
    ],
)
def test_what_would_have_no_effect_or_confuse_the_driver_is_refused(sql: str) -> None:
    assert refused(sql).code is Code.STATEMENT_NOT_ALLOWED


@pytest.mark.parametrize("sql", ["", "   ", ";", "-- only a comment", "/* only */", "/* unclosed"])
def test_a_text_without_a_statement_is_refused(sql: str) -> None:
    assert refused(sql).code is Code.STATEMENT_NOT_ALLOWED


def test_what_postgresql_cannot_take_as_text_is_refused_by_name() -> None:
    assert "NUL" in refused("SELECT '\0'").message
    assert "Unicode" in refused("SELECT '\ud800'").message


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 1",
        "TABLE t",
        "SHOW ALL",
        "EXPLAIN SELECT 1",
        "WITH a AS (DELETE FROM t RETURNING *) SELECT * FROM a",
        "DROP TABLE t",
        "select 'commit'",
    ],
)
def test_everything_else_is_left_to_postgresql(sql: str) -> None:
    check_read(sql)


@pytest.mark.parametrize("sql", ["SELECT 1 " + "/*" * 10_000, "/*" * 9_000 + "*/" * 9_000, "/**/" * 9_000 + "SELECT 1"])
def test_comments_that_take_postgresql_minutes_to_read_are_refused(sql: str) -> None:
    assert "comments" in refused(sql).message


@pytest.mark.parametrize(
    "sql", ["/*" + "*" * 5_000 + "*/ SELECT 1", "/* a */ " * 5_000 + "SELECT 1", "/**/" * 60 + "SELECT 1"]
)
def test_ordinary_comments_are_let_through(sql: str) -> None:
    check_read(sql)


@pytest.mark.parametrize(
    ("sql", "word"),
    [
        ("SELECT pg_read_file('/etc/passwd')", "pg_read_file()"),
        ('SELECT "pg_catalog"."pg_read_file"(\'x\')', "pg_read_file()"),
        ("SELECT U&\"pg\\005fread\\005ffile\"('x')", "pg_read_file()"),
        ("SELECT ('x'::text).pg_read_file", "pg_read_file()"),
        (
            "SELECT 1 WHERE EXISTS (SELECT pg_terminate_backend(pid) FROM pg_stat_activity)",
            "other connections",
        ),
        ("SELECT query_to_xml('DELETE FROM t', true, false, '')", "string"),
        ("SELECT * FROM public.dblink_exec('x', 'y')", "string"),
        ("SELECT ts_rewrite('a'::tsquery, 'SELECT 1')", "string"),
        ("EXPLAIN ANALYZE SELECT lo_import('/etc/passwd')", "large objects"),
        ("WITH x AS MATERIALIZED (SELECT pg_switch_wal()) TABLE x", "write-ahead log"),
        ("SELECT pg_reload_conf()", "server's state"),
        ("SELECT set_config('transaction_read_only', 'off', true)", "set_config('transaction_read_only'"),
        ("SELECT set_config('transaction_' || 'read_only', 'off', true)", "can't be seen"),
        ("SELECT set_config(setting_name => 'ROLE', new_value => 'x', is_local => true)", "set_config('role'"),
        ("SELECT heap_force_kill('t'::regclass, ARRAY['(0,1)']::tid[])", "no rollback undoes"),
        ("SELECT pg_try_advisory_lock(1)", "belong to the connection"),
        ("SELECT pg_read_file_old('x', 0, 1)", "file system"),
        ("SELECT pg_get_wal_records_info('0/1', '0/2')", "everybody's rows"),
        ("SELECT run_command_on_workers('DELETE FROM t')", "string"),
        ("SELECT aws_s3.query_export_to_s3('DELETE FROM t', 'a')", "string"),
        ("WITH s AS (SELECT setseed(0.5)) SELECT random() FROM s", "whoever has it next"),
        ("SELECT isn_weak(true)", "whoever has it next"),
        ("SELECT hypopg_create_index('CREATE INDEX ON t (i)')", "only imagined"),
        ("ANALYZE t", "ANALYZE is work"),
        ("REPACK (VERBOSE) t", "REPACK is work"),
        ("DO $$ BEGIN END $$", "DO runs a program"),
        ("LOCK t", "keeps no locks"),
        ("SELECT * FROM (SELECT * FROM t) AS s FOR UPDATE", "keeps no locks"),
        ("SELECT 1; DROP TABLE t", "several"),
        ("SELECT lo_import('x') OVER", "could only be told by parsing it"),
    ],
)
def test_what_only_the_policy_can_refuse_in_a_read_is_refused(sql: str, word: str) -> None:
    refusal = refused(sql)
    assert refusal.code is Code.STATEMENT_NOT_ALLOWED
    assert word in refusal.message
    assert refusal.next


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 'pg_read_file(1)' -- pg_read_file(1)",
        "SELECT pg_read_file FROM t",
        "SELECT 1 AS dblink",
        "SELECT lo_get(1)",
        "SELECT l.lo_revenue, l.dblink_id, (l).lo_orderdate FROM lineorder AS l",
        "SELECT crosstabs(1), heap_forced(1)",
        "SELECT pg_try_advisory_xact_lock(1)",
        "SELECT ts_rewrite('a'::tsquery, 'a'::tsquery, 'b'::tsquery)",
        "SELECT hello_world(1), pg_stat_get_activity(1)",
        "SELECT pg_get_wal_stats('0/1', '0/2'), pg_get_wal_replay_pause_state()",
        "SELECT * FROM hypopg(), hypopg_list_indexes",
        "SELECT setseeds(1), t.isn_weakly FROM t TABLESAMPLE system (1) REPEATABLE (1)",
        "SELECT set_config('app.user', $1, true)",
        "SELECT set_config('search_path'::text, 'x', true)",
        "SELECT new syntax of pg_stat_activity",
    ],
)
def test_what_only_looks_like_it_is_let_through(sql: str) -> None:
    check_read(sql)


def test_the_page_lists_what_is_refused() -> None:
    names = set(_LISTED) - _NOT_ALWAYS_REFUSED
    assert len(names) > 40
    for name in names:
        assert name.rstrip("*") in refused(f"SELECT {name.replace('*', 'x')}('a', 'b')").message


def test_where_the_parser_stumbles_the_place_is_shown() -> None:
    refusal = refused("SELECT lo_import('x')\nFROM a b c")
    assert "syntax error" in refusal.message
    assert refusal.cause.excerpt == "LINE 2: FROM a b c\n                 ^"
    assert len(refused("SELECT pg_read_file /*" + "x" * 100_000).message) < 500


@pytest.mark.parametrize(
    "sql",
    ["SELECT pg_read_file('x')", "SELECT set_config('role', 'x', true)", "DECLARE c CURSOR FOR SELECT pg_switch_wal()"],
)
def test_what_is_explained_where_writes_are_refused_may_not_reach_beyond_either(sql: str) -> None:
    with pytest.raises(Refusal) as caught:
        check_explained(sql, read_only=True)
    assert caught.value.code is Code.STATEMENT_NOT_ALLOWED
    check_explained("INSERT INTO t SELECT lower('x')", read_only=True)
    check_explained("SELECT pg_advisory_lock(1)", read_only=False)


@given(st.text())
def test_no_text_crashes_the_check(sql: str) -> None:
    try:
        check_read(sql)
    except Refusal as refusal:
        assert refusal.next
