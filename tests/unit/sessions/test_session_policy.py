"""What may not be said in a session, and what to use instead."""

import pytest

from coldquery.errors import Code, Refusal
from coldquery.policy import check_explained, check_lone_write, check_operation, check_session_statement
from coldquery.postgres.syntax import understand


def refused(sql: str) -> Refusal:
    with pytest.raises(Refusal) as caught:
        check_session_statement(sql)
    return caught.value


@pytest.mark.parametrize(
    ("sql", "instead"),
    [
        ("COMMIT", "pg_tx commit"),
        ("; commit", "pg_tx commit"),
        ("END", "pg_tx commit"),
        ("COMMIT PREPARED 'x'", "pg_tx commit"),
        ("/* a /* b */ */ Rollback", "pg_tx rollback"),
        ("ROLLBACK TO a", "savepoint_name"),
        ("ROLLBACK PREPARED 'x'", "pg_tx rollback"),
        ("abort", "pg_tx rollback"),
        ("BEGIN", "pg_tx begin"),
        ("START TRANSACTION", "pg_tx begin"),
        ("SAVEPOINT a", "pg_tx savepoint"),
        ("RELEASE SAVEPOINT a", "pg_tx release"),
        ("PREPARE TRANSACTION 'x'", "pg_tx commit"),
        ("prepare /* sly */ transaction 'x'", "pg_tx commit"),
        ("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE", "isolation_level"),
        ("set local transaction read only", "read_only"),
        ("SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE", "pg_tx begin"),
        ("SET transaction_isolation = 'serializable'", "isolation_level"),
        ("SET LOCAL transaction_read_only TO off", "read_only"),
        ("RESET transaction_deferrable", "deferrable"),
        ("SET SESSION AUTHORIZATION postgres", "operator"),
        ("SET LOCAL SESSION AUTHORIZATION DEFAULT", "operator"),
        ("RESET SESSION AUTHORIZATION", "operator"),
        ("COPY t FROM STDIN", "pg_query write"),
        ("copy (SELECT 1) to stdout", "pg_query write"),
        ('SET "transaction_read_only" = off', "read_only"),
        ("SET session_authorization = postgres", "operator"),
        ("SET SESSION statement_timeout = 100", "timeout_ms"),
        ("SET LOCAL idle_in_transaction_session_timeout = 0", "idle_timeout_s"),
        ("RESET transaction_timeout", "idle_timeout_s"),
        ("SET client_encoding = 'LATIN1'", "convert"),
        ("SET NAMES 'LATIN1'", "convert"),
        ("RESET ALL", "by name"),
        ("LISTEN c", "query"),
        ("DEALLOCATE ALL", "by name"),
        ("DEALLOCATE PREPARE ALL", "by name"),
    ],
)
def test_what_would_break_a_session_is_refused_with_what_to_use_instead(sql: str, instead: str) -> None:
    refusal = refused(sql)
    assert refusal.code is Code.STATEMENT_NOT_ALLOWED
    assert instead in refusal.next
    assert "{" not in refusal.message


@pytest.mark.parametrize("sql", ["", "  ", ";", "-- nothing", "/* nothing */"])
def test_a_text_without_a_statement_is_refused(sql: str) -> None:
    assert refused(sql).code is Code.STATEMENT_NOT_ALLOWED


@pytest.mark.parametrize("sql", ["SELECT '\0'", "SELECT '\ud800'"])
def test_a_text_that_postgresql_cannot_take_is_refused(sql: str) -> None:
    assert refused(sql).code is Code.INVALID_ARGUMENT


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 1",
        "INSERT INTO commit VALUES (1)",
        "PREPARE p AS SELECT 1",
        "EXECUTE p",
        "DEALLOCATE p",
        "SET search_path = shop",
        "SET LOCAL work_mem = '1MB'",
        "RESET work_mem",
        "SET LOCAL lock_timeout = 100",
        "DECLARE c CURSOR FOR SELECT 1",
        "COPY t TO '/tmp/file'",
        "NOTIFY c",
        "UNLISTEN *",
        "DO $$ BEGIN END $$",
        "LOCK t",
    ],
)
def test_what_has_its_place_in_a_transaction_is_let_through(sql: str) -> None:
    check_session_statement(sql)


@pytest.mark.parametrize(
    "sql", ["SET work_mem = '1MB'", "LOCK t", "PREPARE p AS TABLE t", "DECLARE c CURSOR FOR TABLE t"]
)
def test_what_lasts_no_longer_than_a_call_is_refused_alone_and_allowed_in_a_batch(sql: str) -> None:
    with pytest.raises(Refusal) as caught:
        check_lone_write(sql)
    assert caught.value.code is Code.STATEMENT_NOT_ALLOWED
    assert "pg_tx begin" in caught.value.next
    check_operation(sql)


@pytest.mark.parametrize(
    "sql",
    [
        "VACUUM t",
        "CREATE INDEX CONCURRENTLY i ON t (a)",
        "create unique index /* x */ concurrently on t (a)",
        "DROP INDEX CONCURRENTLY i",
        "REINDEX (VERBOSE) TABLE CONCURRENTLY t",
        "REINDEX DATABASE d",
        "CREATE DATABASE d",
        "DROP TABLESPACE s",
        "ALTER SYSTEM SET work_mem = '1MB'",
        "ALTER TABLE t DETACH PARTITION p CONCURRENTLY",
        "CLUSTER",
        "CLUSTER VERBOSE",
        "CREATE SUBSCRIPTION s CONNECTION 'x' PUBLICATION p",
    ],
)
def test_what_postgresql_refuses_in_a_transaction_is_told_before_and_may_run_alone(sql: str) -> None:
    for check in (check_session_statement, check_operation):
        with pytest.raises(Refusal) as caught:
            check(sql)
        assert caught.value.code is Code.STATEMENT_NOT_ALLOWED
        assert "autocommit: true" in caught.value.next
    check_lone_write(sql)


@pytest.mark.parametrize("sql", ["CALL p()", "DO $$ BEGIN END $$"])
def test_what_may_end_transactions_runs_alone_or_in_a_session_but_in_no_batch(sql: str) -> None:
    check_lone_write(sql)
    check_session_statement(sql)
    with pytest.raises(Refusal) as caught:
        check_operation(sql)
    assert "autocommit: true" in caught.value.next


@pytest.mark.parametrize(
    "sql", ["REINDEX TABLE t", "CREATE INDEX i ON t (a)", "ALTER TABLE t ADD b int", "CLUSTER t USING i"]
)
def test_their_harmless_relatives_may_stand_in_a_transaction(sql: str) -> None:
    check_session_statement(sql)
    check_operation(sql)


def test_an_explain_in_front_is_told() -> None:
    with pytest.raises(Refusal) as caught:
        check_explained("EXPLAIN ANALYZE SELECT 1", read_only=False)
    assert caught.value.next == "Leave EXPLAIN out of it."


@pytest.mark.parametrize(
    ("sql", "possible"),
    [
        ("INSERT INTO t VALUES (1)", True),
        ("with x as (delete from t) select 1", True),
        ("SELECT 1", False),
        ("TABLE t", False),
        ("CREATE TABLE x AS SELECT 1", True),
    ],
)
def test_what_can_write_is_known(sql: str, possible: bool) -> None:
    assert understand(sql).may_write is possible
