"""Changes of a schema by arguments: what they are about is what was named, whatever it is called."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import asyncpg
import pytest

from coldquery.errors import Code, Refusal
from coldquery.mcp.pg_schema import PgSchemaArguments
from coldquery.mcp.schema_changes import statement
from tests.conftest import TestDatabase

type Owner = asyncpg.Connection[Any]


@pytest.fixture
async def owner(populated: TestDatabase) -> AsyncIterator[Owner]:
    """Who may change all, in a transaction that leaves nothing."""
    connection = await asyncpg.connect(populated.superuser_dsn)
    await connection.execute("BEGIN")
    yield connection
    await connection.close()


def made(action: str, target: str, *names: str, schema: str | None = None, **arguments: Any) -> str:
    return statement(PgSchemaArguments(**{"action": action, "target": target, **arguments}), names, schema)


def changes(name: str) -> Iterator[str]:
    """Every kind of change, of things that are called so."""
    quoted, column, typed = f'"{name}"', [{"name": name}], [{"name": name, "type": "int"}]
    yield made("create", "schema", quoted)
    yield made("alter", "schema", quoted, change="comment", comment=name)
    yield made("create", "table", f"{quoted}.{quoted}", columns=[{**typed[0], "primary_key": True}])
    table = ("alter", "table", quoted)
    yield made(*table, schema=name, change="drop_column", columns=column)
    yield made(*table, schema=name, change="drop_column", columns=column, if_exists=True)
    yield made(*table, schema=name, change="add_column", columns=typed)
    yield made(*table, schema=name, change="add_column", columns=typed, if_not_exists=True)
    yield made(*table, schema=name, change="set_type", columns=[{"name": name, "type": "text"}])
    yield made(*table, schema=name, change="comment", columns=column, comment="of a column")
    yield made(*table, schema=name, change="comment", comment="of a table")
    yield made(*table, schema=name, change="rename_column", columns=column, new_name="other")
    yield made(*table, schema=name, change="rename_column", columns=[{"name": "other"}], new_name=name)
    yield made("create", "index", table=quoted, schema=name, columns=column)
    yield made(*table, schema=name, change="rename", new_name="other")
    yield made("create", "index", quoted, table="other", schema=name, columns=column, unique=True)
    yield made("alter", "index", quoted, schema=name, change="rename", new_name="an_index")
    yield made("alter", "index", "an_index", schema=name, change="rename", new_name=name)
    yield made("drop", "index", quoted, schema=name)
    yield made("alter", "table", "other", schema=name, change="rename", new_name=name)
    yield made("drop", "table", quoted, schema=name, if_exists=True)
    yield made("alter", "schema", quoted, change="rename", new_name="another")
    yield made("alter", "schema", "another", change="rename", new_name=name)
    yield made("drop", "schema", quoted)


async def test_any_keyword_can_be_the_name_of_anything(owner: Owner) -> None:
    words = [row["word"] for row in await owner.fetch("SELECT word FROM pg_get_keywords()")]
    for word in words:
        try:
            await owner.execute(";".join(changes(word)))
        except (Refusal, asyncpg.PostgresError) as error:
            raise AssertionError(word) from error


async def test_what_a_description_calls_a_column_can_be_passed_on(owner: Owner) -> None:
    columns = [{"name": 'Say "if"', "type": "int"}]
    await owner.execute(made("create", "table", '"Odd"', schema="shop", columns=columns))
    column = await owner.fetchval(
        "SELECT quote_ident(attname) FROM pg_attribute WHERE attrelid = 'shop.\"Odd\"'::regclass AND attnum = 1"
    )
    change = {"change": "rename_column", "columns": [{"name": column}], "new_name": '"Then"'}
    sql = made("alter", "table", '"Odd"', schema="shop", **change)
    assert sql == 'ALTER TABLE shop."Odd" RENAME COLUMN "Say ""if""" TO "Then"'
    await owner.execute(sql)


async def test_of_functions_of_one_name_the_one_is_changed_that_was_named(owner: Owner) -> None:
    await owner.execute(made("alter", "function", "shop.total(integer)", change="comment", comment="the first"))
    assert await owner.fetchval("SELECT obj_description('shop.total(int)'::regprocedure)") == "the first"
    await owner.execute(made("alter", "function", "shop.tidy()", change="rename", new_name="tidied"))
    await owner.execute(made("drop", "function", "shop.tidied"))  # a procedure
    with pytest.raises(asyncpg.UndefinedFunctionError):
        await owner.execute(made("drop", "function", "shop.total(text)"))


TYPED = {"name": "a", "type": "int"}


@pytest.mark.parametrize(
    ("action", "target", "name", "arguments", "words"),
    [
        ("alter", "table", "t", {"change": "add_column", "columns": [TYPED, TYPED]}, "`columns` names 2"),
        ("alter", "table", "t", {"change": "drop_column", "columns": [TYPED]}, "`columns[].type` has no place"),
        ("alter", "table", "t", {"change": "set_type", "columns": [{**TYPED, "not_null": True}]}, "[].not_null`"),
        ("alter", "table", "t", {"change": "rename", "new_name": "u", "cascade": True}, "`cascade` has no place"),
        ("alter", "table", "t", {"change": "drop_column"}, "`columns` is missing"),
        ("alter", "table", "t", {"change": "comment"}, "`comment` is missing"),
        ("alter", "view", "v", {"change": "add_column", "columns": [TYPED]}, "is none of a view"),
        ("alter", "extension", "x", {"change": "rename", "new_name": "y"}, "is none of an extension"),
        ("create", "table", "t", {"columns": [TYPED], "unique": True}, "`unique` has no place in create of a table"),
        ("create", "index", "s.i", {"table": "u.t", "columns": [{"name": "a"}]}, "in the schema of its table"),
        ("create", "index", None, {"table": "t", "columns": [{"name": "a"}], "if_not_exists": True}, "`name` is"),
        ("create", "index", "i", {"table": "t", "columns": [TYPED]}, "`columns[].type` has no place in an index"),
        ("create", "schema", "a.b", {}, "A schema belongs to no schema"),
        ("drop", "role", "a.b", {}, "A role belongs to no schema"),
        ("drop", "table", "t", {"concurrently": True}, "`concurrently` has no place"),
        ("drop", "trigger", "t", {}, "`sql` is missing"),
    ],
)  # fmt: skip
def test_nothing_that_was_said_is_passed_over(
    action: str, target: str, name: str | None, arguments: dict[str, Any], words: str
) -> None:
    with pytest.raises(Refusal) as caught:
        made(action, target, *([name] if name else []), **arguments)
    assert (caught.value.code, words in caught.value.message) == (Code.INVALID_ARGUMENT, True), caught.value.message
    assert caught.value.next


def test_a_flag_that_is_false_asks_for_nothing() -> None:
    columns = [{**TYPED, "not_null": False}]
    assert made("create", "table", "t", columns=columns, unique=False) == "CREATE TABLE t (a int)"


@pytest.mark.parametrize(("action", "target"), [("create", "table"), ("drop", "table"), ("drop", "schema")])
def test_argument_types_have_no_place_but_with_a_function(action: str, target: str) -> None:
    with pytest.raises(Refusal, match="which are for a function's argument types") as caught:
        made(action, target, "t(a int)")
    assert caught.value.code is Code.INVALID_ARGUMENT
