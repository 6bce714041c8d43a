"""Tool arguments: the schema that clients see, and the errors that they get."""

from typing import Any, get_args

import pytest

from coldquery.errors import Code, Refusal
from coldquery.mcp.arguments import parse, schema
from coldquery.mcp.pg_query import PgQuery, PgQueryArguments
from coldquery.mcp.pg_tx import PgTx, PgTxArguments


def refused(**given: Any) -> Refusal:
    with pytest.raises(Refusal) as caught:
        parse(PgQueryArguments, PgQuery.actions, given)
    assert caught.value.code is Code.INVALID_ARGUMENT
    return caught.value


def test_good_arguments_become_a_model_with_defaults() -> None:
    arguments = parse(
        PgQueryArguments, PgQuery.actions, {"action": "read", "sql": "SELECT $1", "params": [1, None, {"a": []}]}
    )
    assert arguments.sql == "SELECT $1"
    assert arguments.params == [1, None, {"a": []}]
    assert arguments.max_rows is None


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "`action` is missing."),
        ({"action": "rite", "sql": "x"}, "`action` must be 'read', 'write', 'explain' or 'transaction'."),
        (
            {"action": "transaction", "operations": [{"sq": "x"}]},
            "`operations.0.sql` is missing; `operations.0.sq` is not an argument.",
        ),
        (
            {"action": "transaction", "operations": []},
            "`operations`: list should have at least 1 item after validation, not 0.",
        ),
        ({"action": "read", "sql": "x", "parms": []}, "`parms` is not an argument (did you mean `params`?)."),
        ({"action": "read", "sql": "x", "zzz": 1}, "`zzz` is not an argument."),
        ({"action": "read", "sql": 1}, "`sql`: input should be a valid string."),
        ({"action": "read", "sql": "x", "max_rows": "7"}, "`max_rows`: input should be a valid integer."),
        ({"action": "read", "sql": "x", "params": {}}, "`params`: input should be a valid list."),
    ],
)
def test_a_bad_argument_is_named_with_what_is_wrong(given: dict[str, Any], message: str) -> None:
    assert refused(**given).message == message


def test_the_next_step_lists_the_arguments() -> None:
    assert refused().next.startswith("The arguments are: action, sql, params, operations, ")
    assert refused(action="read", sql=7).next.startswith("action=read takes: sql, params?, ")


@pytest.mark.parametrize(
    ("given", "message", "step"),
    [
        (
            {"action": "read"},
            "`sql` is missing.",
            "action=read takes: sql, params?, session_id?, max_rows?, timeout_ms?, format?.",
        ),
        (
            {"action": "read", "sql": "x", "autocommit": True, "analyze": False},
            "`analyze` has no place in action=read; `autocommit` has no place in action=read.",
            "action=read takes: sql, params?, session_id?, max_rows?, timeout_ms?, format?.",
        ),
    ],
)
def test_each_action_says_what_it_takes(given: dict[str, Any], message: str, step: str) -> None:
    refusal = refused(**given)
    assert refusal.message == message
    assert refusal.next == "action=read takes: sql, params?, session_id?, max_rows?, timeout_ms?, format?."


def test_what_is_null_counts_as_left_out() -> None:
    given = {"action": "read", "sql": "x", "operations": None}
    assert parse(PgQueryArguments, PgQuery.actions, given).sql == "x"


def test_very_many_problems_are_counted() -> None:
    message = refused(action="transaction", operations=[7] * 900).message
    assert message.startswith("`operations.0` must be an object; `operations.1` must be an object; ")
    assert message.endswith("; and 895 more.")


@pytest.mark.parametrize(
    ("text", "level"),
    [("serializable", "serializable"), ("SERIALIZABLE", "serializable"), ("REPEATABLE_READ", "repeatable read")],
)
def test_an_isolation_level_can_be_written_as_in_sql(text: str, level: str) -> None:
    given = {"action": "begin", "isolation_level": text}
    assert parse(PgTxArguments, PgTx.actions, given).isolation_level == level


@pytest.mark.parametrize("tool", [PgQuery, PgTx])
def test_every_action_and_every_argument_has_its_place(tool: type[PgQuery] | type[PgTx]) -> None:
    fields = dict(tool.takes.model_fields)
    assert set(get_args(fields.pop("action").annotation)) == set(tool.actions)
    assert set(fields) == {name for takes in tool.actions.values() for name in (*takes.required, *takes.optional)}


def test_no_value_is_repeated_in_an_error() -> None:
    told = refused(action="read", sql=["s3cret"], params="s3cret", max_rows="s3cret").to_dict()
    assert "s3cret" not in str(told)


def test_a_very_long_name_is_cut() -> None:
    assert len(refused(action="read", sql="x", **{"n" * 5000: 1}).message) < 200


def test_the_schema_is_compact_and_closed() -> None:
    described = schema(PgQueryArguments)
    assert described["required"] == ["action"]
    assert described["additionalProperties"] is False
    assert described["properties"]["action"]["enum"] == ["read", "write", "explain", "transaction"]
    assert described["properties"]["operations"]["items"] == {
        "type": "object",
        "properties": {"sql": {"type": "string"}, "params": {"type": "array", "items": {}}},
        "required": ["sql"],
        "additionalProperties": False,
    }
    assert described["properties"]["isolation_level"]["enum"][-1] == "serializable"
    assert "$" not in str(described).replace("$1, $2", "")
    assert described["properties"]["max_rows"] == {"type": "integer", "description": "default 1000"}
    assert "title" not in str(described)
