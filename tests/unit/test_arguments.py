"""Tool arguments: the schema that clients see, and the errors that they get."""

from typing import Any

import pytest

from coldquery.errors import Code, Refusal
from coldquery.mcp.arguments import parse, schema
from coldquery.mcp.pg_query import PgQueryArguments


def refused(**given: Any) -> Refusal:
    with pytest.raises(Refusal) as caught:
        parse(PgQueryArguments, given)
    assert caught.value.code is Code.INVALID_ARGUMENT
    return caught.value


def test_good_arguments_become_a_model_with_defaults() -> None:
    arguments = parse(PgQueryArguments, {"action": "read", "sql": "SELECT $1", "params": [1, None, {"a": []}]})
    assert arguments.sql == "SELECT $1"
    assert arguments.params == [1, None, {"a": []}]
    assert arguments.max_rows is None


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"action": "read"}, "`sql` is missing."),
        ({}, "`action` is missing; `sql` is missing."),
        ({"action": "rite", "sql": "x"}, "`action` must be 'read'."),
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
    assert refused().next == "The arguments are: action, sql, params, max_rows, timeout_ms."


def test_no_value_is_repeated_in_an_error() -> None:
    told = refused(action="read", sql=["s3cret"], params="s3cret", max_rows="s3cret").to_dict()
    assert "s3cret" not in str(told)


def test_a_very_long_name_is_cut() -> None:
    assert len(refused(action="read", sql="x", **{"n" * 5000: 1}).message) < 200


def test_the_schema_is_compact_and_closed() -> None:
    described = schema(PgQueryArguments)
    assert described["required"] == ["action", "sql"]
    assert described["additionalProperties"] is False
    assert described["properties"]["action"] == {"const": "read", "type": "string"}
    assert described["properties"]["max_rows"] == {"type": "integer", "description": "default 1000"}
    assert "title" not in str(described)
