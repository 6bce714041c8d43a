"""What PostgreSQL's own parser says of a text, and what is said where it can't."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coldquery.postgres import parser
from coldquery.postgres.parser import LONGEST_BYTES, Unparsable
from coldquery.postgres.syntax import first_word, understand


def named(sql: str) -> set[str]:
    return {call.name for call in understand(sql).calls()}


@pytest.mark.parametrize(
    ("sql", "node", "count"),
    [
        ("SELECT 1", "SelectStmt", 1),
        ("VALUES (1);", "SelectStmt", 1),
        ("TABLE t", "SelectStmt", 1),
        ("(((SELECT 1)))", "SelectStmt", 1),
        ("WITH gone AS (DELETE FROM t RETURNING i) SELECT * FROM gone", "SelectStmt", 1),
        ("/* a /* b */ */ commit", "TransactionStmt", 1),
        ("SET TRANSACTION READ WRITE", "VariableSetStmt", 1),
        ("SELECT 1; DROP TABLE t", "SelectStmt", 2),
        ('SELECT \'{"stmt":{"SelectStmt":\'; SELECT \'{"stmt":{"\'', "SelectStmt", 2),
        ("", "", 0),
        (" ; -- nothing", "", 0),
    ],
)
def test_kind_and_number_of_statements(sql: str, node: str, count: int) -> None:
    statement = understand(sql)
    assert (statement.node, statement.count, statement.problem) == (node, count, None)


@pytest.mark.parametrize(
    ("sql", "may_write", "locks_rows"),
    [
        ("SELECT 1", False, False),
        ("WITH a AS (SELECT 1) SELECT * FROM a", False, False),
        ("WITH a AS (UPDATE t SET i = 1 RETURNING i) SELECT * FROM a", True, False),
        ("SELECT 1 INTO x", True, False),
        ("SELECT * FROM (SELECT * FROM t FOR SHARE) AS s", True, True),
        ("SELECT 'FOR UPDATE', '\"lockingClause\":['", False, False),
        ("EXPLAIN SELECT 1", True, False),
    ],
)
def test_what_a_statement_may_do(sql: str, may_write: bool, locks_rows: bool) -> None:
    statement = understand(sql)
    assert (statement.may_write, statement.locks_rows) == (may_write, locks_rows)


@pytest.mark.parametrize(
    ("sql", "names"),
    [
        ("SELECT pg_read_file('x')", {"pg_read_file"}),
        ('SELECT pg_catalog."pg_read_file"($1)', {"pg_read_file"}),
        ("SELECT U&\"pg\\005fread!file\"('x')", {"pg_read!file"}),
        ("SELECT U&\"pg!005fread_file\" UESCAPE '!' ('x')", {"pg_read_file"}),
        ("SELECT 1 WHERE EXISTS (SELECT FROM lower(upper('x')) AS f)", {"lower", "upper"}),
        ("SELECT ('x'::text).lower", {"lower"}),
        ("SELECT f.lower FROM unnest(ARRAY['x']) AS f", {"lower", "unnest"}),
        ("EXPLAIN ANALYZE SELECT a() OVER w FROM t WINDOW w AS (ORDER BY b())", {"a", "b"}),
        ("CALL p(f())", {"p", "f"}),
        ("SELECT lower, 'pg_read_file()' AS \"pg_read_file\" FROM t -- upper()", set()),
    ],
)
def test_calls_are_found_however_they_are_written(sql: str, names: set[str]) -> None:
    assert named(sql) == names


def test_tables_are_named_without_those_of_the_statement_itself() -> None:
    sql = 'WITH own AS (SELECT * FROM shop.orders) INSERT INTO "Odd Name" SELECT * FROM own JOIN shop.orders USING (i)'
    assert set(understand(sql).tables()) == {("shop", "orders"), ("Odd Name",)}


@pytest.mark.parametrize(
    ("sql", "text"),
    [
        ("SELECT  'secret', 5 -- secret\n FROM t", "SELECT ?, … FROM t"),
        ("INSERT INTO t VALUES (1, 'a'), (2, E'\\'b'), ($1, $$c$$)", "INSERT INTO t VALUES (?, …), (?, …), ($1, ?)"),
        ("ALTER ROLE r PASSWORD 'secret'", "ALTER ROLE r PASSWORD ?"),
        ("CREATE SERVER s FOREIGN DATA WRAPPER f OPTIONS (password 'secret')",
         "CREATE SERVER s FOREIGN DATA WRAPPER f OPTIONS (password ?)"),
        ("DO $$ BEGIN RAISE 'secret'; END $$", "DO ?"),
        ("SELECT /* é */ U&'sécret' AS \"é\" WHERE a = -1.5", 'SELECT ? AS "é" WHERE a = -?'),
        ("SELEC 'secret'", "SELEC ?"),
    ],
)  # fmt: skip
def test_the_normalized_text_holds_no_literal_and_no_comment(sql: str, text: str) -> None:
    assert understand(sql).normalized() == text


def test_texts_that_differ_in_literals_only_share_a_fingerprint() -> None:
    first, second, other = "SELECT * FROM t WHERE i = 1", "select  * from t where i = 2 -- x", "SELECT * FROM u"
    assert understand(first).fingerprint() == understand(second).fingerprint()
    assert understand(first).fingerprint() != understand(other).fingerprint()


@pytest.mark.parametrize(
    ("sql", "node", "may_write"),
    [
        ("SELECT FROM WHERE", "SelectStmt", False),
        ("COMMIT AND THEN", "TransactionStmt", True),
        ("WITH x AS (", "", True),
        ("/* never closed COMMIT", "", True),
        ("FLY ME", "", True),
        ("REPACK t", "ClusterStmt", True),
    ],
)
def test_what_can_not_be_parsed_is_known_by_its_first_word(sql: str, node: str, may_write: bool) -> None:
    statement = understand(sql)
    assert statement.problem
    assert (statement.node, statement.may_write) == (node, may_write)
    with pytest.raises(Unparsable):
        list(statement.calls())


def test_a_long_text_is_not_parsed() -> None:
    statement = understand("SELECT '" + "x" * LONGEST_BYTES + "'")
    assert str(statement.problem) == f"the text is longer than {LONGEST_BYTES} bytes"


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT " + "+".join(["1"] * 60_000),
        "SELECT " + "+".join(["$1"] * 40_000),
        "SELECT 1" + "::a" * 40_000,
        "SELECT UNION " * 9_000 + "SELECT",
        "SELECT * FROM t" + " CROSS JOIN t" * 9_000,
        "SELECT " + "NOT " * 30_000 + "true",
        "SELECT " + "f(" * 40_000 + "1" + ")" * 40_000,
        "SELECT " + "(" * 60_000 + "1" + ")" * 60_000,
    ],
    ids=lambda sql: str(sql)[:20],
)
def test_no_depth_of_nesting_crashes_the_process(sql: str) -> None:
    statement = understand(sql)
    assert statement.node == "SelectStmt"
    try:
        assert statement.fingerprint()
        list(statement.calls())
    except Unparsable as problem:
        assert str(problem)


def test_without_the_library_statements_are_known_by_their_first_words(monkeypatch: pytest.MonkeyPatch) -> None:
    parser._library.cache_clear()
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    statement = understand("SELECT 'nobody kept this text'")
    assert (statement.node, str(statement.problem)) == ("SelectStmt", "there is no parser for this platform")
    monkeypatch.undo()
    assert understand("SELECT 'nor this'").problem is None


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


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0")))
def test_any_text_is_understood(sql: str) -> None:
    statement = understand(sql)
    for what in (statement.normalized, statement.fingerprint, statement.tables):
        try:
            what()
        except Unparsable as problem:
            assert str(problem)
