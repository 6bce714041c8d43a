"""Changes of a schema: what a statement changes, and the statement that makes one."""

import pytest

from coldquery.errors import Code, Refusal
from coldquery.postgres import ddl
from coldquery.postgres.change import Verb, change_of, require
from coldquery.postgres.ddl import Column

ODD = ("Odd", 'Na"me')


@pytest.mark.parametrize(
    ("sql", "change"),
    [
        ("CREATE TABLE t (a int)", ("create", "table")),
        ("CREATE TABLE t AS SELECT 1", ("create", "table")),
        ("CREATE MATERIALIZED VIEW m AS SELECT 1", ("create", "materialized_view")),
        ("CREATE OR REPLACE VIEW v AS SELECT 1", ("create", "view")),
        ("CREATE UNIQUE INDEX CONCURRENTLY ON t (a)", ("create", "index")),
        ("CREATE PROCEDURE p() LANGUAGE sql AS ''", ("create", "function")),
        ("CREATE AGGREGATE a (int) (sfunc = x, stype = int)", ("create", "function")),
        ("CREATE TYPE e AS ENUM ('a')", ("create", "type")),
        ("CREATE DOMAIN d AS int", ("create", "type")),
        ("CREATE POLICY p ON t", ("create", "table")),
        ("CREATE ROLE r", ("create", "role")),
        ("ALTER TABLE t ADD a int", ("alter", "table")),
        ("ALTER VIEW v SET (security_barrier)", ("alter", "view")),
        ("ALTER TABLE t RENAME a TO b", ("alter", "table")),
        ("ALTER INDEX i RENAME TO j", ("alter", "index")),
        ("ALTER SCHEMA s OWNER TO r", ("alter", "schema")),
        ("ALTER FUNCTION f() SET SCHEMA s", ("alter", "function")),
        ("ALTER TYPE t ADD VALUE 'x'", ("alter", "type")),
        ("ALTER SEQUENCE s RESTART", ("alter", "sequence")),
        ("COMMENT ON COLUMN t.a IS 'x'", ("alter", "column")),
        ("DROP TABLE t, u CASCADE", ("drop", "table")),
        ("DROP ROLE r", ("drop", "role")),
        ("DROP TRIGGER x ON t", ("drop", "trigger")),
        ("DROP CAST (int AS text)", ("drop", None)),
        ("SELECT 1", None),
        ("TRUNCATE t", None),
        ("", None),
    ],
)
def test_what_a_statement_changes(sql: str, change: tuple[str, str | None] | None) -> None:
    assert change_of(sql) == change


@pytest.mark.parametrize(
    ("sql", "made"),
    [
        (ddl.create_table(ODD, [Column("a", "int", primary_key=True), Column("B", "int", not_null=True, default="1")]),
         'CREATE TABLE "Odd"."Na""me" (a int, "B" int NOT NULL DEFAULT 1, PRIMARY KEY (a))'),
        (ddl.create_table(["t"], [], if_not_exists=True), "CREATE TABLE IF NOT EXISTS t ()"),
        (ddl.create_index("i", ["s", "t"], ["a", "B"], unique=True, concurrently=True, if_not_exists=True),
         'CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS i ON s.t (a, "B")'),
        (ddl.create_index(None, ["t"], ["a"]), "CREATE INDEX ON t (a)"),
        (ddl.create_schema("S", if_not_exists=True), 'CREATE SCHEMA IF NOT EXISTS "S"'),
        (ddl.add_column(["t"], Column("a", "int", default="1")), "ALTER TABLE t ADD COLUMN a int DEFAULT 1"),
        (ddl.drop_column(["t"], "a", cascade=True, if_exists=True), "ALTER TABLE t DROP COLUMN IF EXISTS a CASCADE"),
        (ddl.add_column(["t"], Column("a", "int", primary_key=True)), "ALTER TABLE t ADD COLUMN a int PRIMARY KEY"),
        (ddl.rename_column("table", ["t"], "a", "B"), 'ALTER TABLE t RENAME COLUMN a TO "B"'),
        (ddl.rename_column("materialized_view", ["m"], "a", "b"), "ALTER MATERIALIZED VIEW m RENAME COLUMN a TO b"),
        (ddl.drop("index", ["s", "i"], concurrently=True, if_exists=True), "DROP INDEX CONCURRENTLY IF EXISTS s.i"),
        (ddl.set_type(["t"], "a", "bigint"), "ALTER TABLE t ALTER COLUMN a TYPE bigint USING a::bigint"),
        (ddl.rename("materialized_view", ["m"], "n"), "ALTER MATERIALIZED VIEW m RENAME TO n"),
        (ddl.comment("table", ["t"], "it's"), "COMMENT ON TABLE t IS 'it''s'"),
        (ddl.comment_on_column(["s", "t"], "a", None), "COMMENT ON COLUMN s.t.a IS NULL"),
        (ddl.drop("view", ["v"], cascade=True), "DROP VIEW v CASCADE"),
        (ddl.drop("function", ["f"], "int, text", if_exists=True), "DROP ROUTINE IF EXISTS f(int, text)"),
        (ddl.add_column(["key"], Column("if", "int")), 'ALTER TABLE "key" ADD COLUMN "if" int'),
    ],
)  # fmt: skip
def test_the_statement_that_makes_a_change_is_one_of_its_kind(sql: str, made: str) -> None:
    assert sql == made
    assert change_of(sql) is not None


@pytest.mark.parametrize(
    ("sql", "verb", "target", "words"),
    [
        ("DROP TABLE t", "create", "table", "is the drop of a table, and not the create of a table"),
        ("CREATE VIEW v AS SELECT 1", "create", "table", "is the create of a view"),
        ("DELETE FROM t", "alter", None, "changes no schema"),
        ("COMMENT ON COLUMN t.a IS 'x'", "alter", "index", "is the alter of a column, and not the alter of an index"),
        ("CREATE TABL", "create", "table", "can't be told: syntax error"),
    ],
)
def test_another_statement_than_was_announced_is_refused(sql: str, verb: Verb, target: str | None, words: str) -> None:
    with pytest.raises(Refusal) as caught:
        require(sql, verb, target)
    assert caught.value.code is Code.STATEMENT_NOT_ALLOWED
    assert words in caught.value.message
    assert "pg_query write" in caught.value.next


@pytest.mark.parametrize("target", ["table", "view", "materialized_view", "type", None])
def test_a_comment_on_a_column_is_a_change_of_what_has_columns(target: str | None) -> None:
    require("COMMENT ON COLUMN t.a IS 'x'", "alter", target)


def test_of_several_statements_each_is_to_be_sent_by_itself() -> None:
    with pytest.raises(Refusal) as caught:
        require("CREATE TABLE a (); DROP TABLE b", "create", "table")
    assert (caught.value.code, "2 statements" in caught.value.message) == (Code.STATEMENT_NOT_ALLOWED, True)
    assert "one statement for each call" in caught.value.next
