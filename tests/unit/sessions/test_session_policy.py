"""What may not be said in a session, and what to use instead."""

import pytest

from coldquery.errors import Code, Refusal
from coldquery.policy import check_session_statement, returns_what_it_wrote


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
        "SET SESSION statement_timeout = 100",
        "RESET ALL",
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
    ("sql", "wrote"),
    [
        ("INSERT INTO t VALUES (1) RETURNING i", True),
        ("with x as (select 1) delete from t returning *", True),
        ("INSERT INTO t VALUES (1)", False),
        ("SELECT 'returning'", False),
    ],
)
def test_rows_that_a_statement_wrote_are_known_by_its_words(sql: str, wrote: bool) -> None:
    assert returns_what_it_wrote(sql) is wrote
