"""The pure verdicts on what may be a read."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coldquery.errors import Code, Refusal
from coldquery.policy import check_read
from coldquery.postgres.syntax import first_word


def refused(sql: str) -> Refusal:
    with pytest.raises(Refusal) as caught:
        check_read(sql)
    return caught.value


@pytest.mark.parametrize(
    ("sql", "word"),
    [
        ("SELECT 1", "select"),
        ("  \n\t VALUES (1)", "values"),
        ("-- a comment\nTABLE t", "table"),
        ("/* one */ /* two */ WITH x AS (SELECT 1) TABLE x", "with"),
        ("/* outer /* inner */ still outer */ commit", "commit"),
        ("((SELECT 1))", "select"),
        ("-- a\r\n(-- b\n/* c */ SELECT 1)", "select"),
        ("/* never closed COMMIT", ""),
        ("", ""),
        ("$1", ""),
    ],
)
def test_the_first_word_is_found_past_space_comments_and_parentheses(sql: str, word: str) -> None:
    assert first_word(sql) == word


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


@given(st.text())
def test_no_text_crashes_the_check(sql: str) -> None:
    try:
        check_read(sql)
    except Refusal as refusal:
        assert refusal.next
