"""What a JSON value becomes to fit its type, without PostgreSQL."""

from collections.abc import Callable
from typing import Any
from unittest.mock import Mock

import asyncpg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coldquery.errors import Code, Refusal
from coldquery.postgres import parameters
from coldquery.postgres.forms import Form, Row, array, domain, row
from coldquery.postgres.known_types import Described, KnownTypes
from coldquery.postgres.parameters import Unfit, refused_by_server
from coldquery.postgres.values import _OIDS, BUILT_IN

INT4 = parameters.integer(-(2**31), 2**31 - 1)


@pytest.mark.parametrize(
    ("fit", "value", "fitted"),
    [
        (INT4, 5, 5),
        (INT4, 5.0, 5),
        (INT4, " +5 ", 5),
        (INT4, "-2147483648", -(2**31)),
        (parameters.integer_text(-(2**63), 2**63 - 1), "9223372036854775807", "9223372036854775807"),
        (parameters.boolean, " YES ", True),
        (parameters.boolean, "of", False),
        (parameters.number, 1e300, "1e+300"),
        (parameters.number, "1.10", "1.10"),
        (parameters.identifier, 1259, "1259"),
        (parameters.json_text, {"ä": [1.5, None, 2**70]}, '{"ä":[1.5,null,1180591620717411303424]}'),
        (parameters.json_text, False, "false"),
        (parameters.json_text, "{", "{"),
        (parameters.vector, [1, -0.5, 1e-7], "[1,-0.5,1e-07]"),
        (parameters.vector, "[1]", "[1]"),
        (parameters.integer_vector, [1, 2], "1 2"),
    ],
)
def test_a_value_becomes_what_its_type_takes(fit: Callable[[Any], Any], value: Any, fitted: Any) -> None:
    result = fit(value)
    assert (result, type(result)) == (fitted, type(fitted))


@settings(max_examples=30, deadline=None)
@given(st.recursive(st.none() | st.booleans() | st.floats() | st.text() | st.integers(),
                    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))  # fmt: skip
def test_whatever_comes_either_fits_or_is_a_refusal_without_the_value(value: Any) -> None:
    for form in (*BUILT_IN.values(), domain("public", "d", BUILT_IN[_OIDS["int4"][0]])):
        described = Described((form,), (form.fit,), frozenset())
        try:
            (fitted,) = described.fit((value,))
        except Refusal as told:
            assert told.code is Code.INVALID_ARGUMENT
            assert told.message.startswith("Parameter $1")
            assert "element 1 of `params`" in told.next
        else:
            assert fitted is None if value is None else isinstance(fitted, str | bool | int | list)


def test_json_that_is_nested_too_deeply_is_refused() -> None:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    for fit in (parameters.json_text, array(BUILT_IN[_OIDS["jsonb"][0]]).fit, array(BUILT_IN[_OIDS["int4"][0]]).fit):
        with pytest.raises(Unfit):
            fit(deep)


def item() -> Form:
    content = Row()
    content.attributes = [("id", BUILT_IN[_OIDS["int4"][0]]), ("tags", array(BUILT_IN[_OIDS["text"][0]]))]
    return row("public", "item", content, 1)


@pytest.mark.parametrize(
    ("value", "fitted"),
    [
        ({"id": 5, "tags": ['a"b', None]}, r"""("5","{""a\\""b"",NULL}")"""),
        ({}, "(,)"),
        ([None, []], '(,"{}")'),
        ("(1,)", "(1,)"),
    ],
)
def test_a_row_is_taken_by_attribute_or_in_order_or_as_text(value: Any, fitted: str) -> None:
    assert item().fit(value) == fitted


def test_a_row_of_other_attributes_than_we_know_is_read_as_texts() -> None:
    read = item().read
    assert read is not None
    assert read("(1,{a})") == {"id": 1, "tags": ["a"]}
    assert read("(1,{a},x)") == ["1", "{a}", "x"]


@pytest.mark.parametrize(
    ("context", "number"),
    [
        (None, None),
        ('SQL statement "SELECT $1"', None),
        ("unnamed portal parameter $2", 2),
        ("unnamed portal parameter $12 = 'x\nunnamed portal parameter $3'", 12),
        ("JSON data, line 1: x...\nunnamed portal parameter $1 = '...'", 1),
    ],
)
def test_postgresqls_context_names_the_parameter(context: str | None, number: int | None) -> None:
    found = refused_by_server(context, 'invalid input syntax for type date: "s3"cret"')
    assert (found and found[0]) == number
    if found:
        assert found[1].reason == 'invalid input syntax for type date: "…"'


def test_a_type_that_asyncpg_alone_knows_is_text() -> None:
    described = KnownTypes().describe([asyncpg.Type(6490, "regdatabase", "scalar", "pg_catalog")], [])
    assert described.fit(("x",)) == ["x"]
    with pytest.raises(Refusal, match="does not fit regdatabase"):
        described.fit((1,))


def test_a_type_that_is_gone_when_it_is_asked_for_is_text() -> None:
    types, codecs = KnownTypes(), Mock()
    types.learn([12345], [], codecs)
    codecs.set_like.assert_called_once_with(12345, "12345", "pg_catalog", 25, as_text=True)


def test_a_value_that_json_has_not_is_refused() -> None:
    for fit in (parameters.json_text, parameters.text, parameters.number, INT4, parameters.boolean):
        with pytest.raises(Unfit, match="JSON"):
            fit(object())


@pytest.mark.parametrize(
    ("context", "message", "reason"),
    [
        (
            "unnamed portal parameter $2",
            'invalid input syntax for type date: "bad"',
            'invalid input syntax for type date: "…"',
        ),
        ("unnamed portal parameter $2 = 'bad'", 'no: "bad"', 'no: "…"'),
        ("JSON data, line 1: bad\nunnamed portal parameter $2 = 'bad'", None, "PostgreSQL refuses it"),
        ("unbenanntes Portal, Parameter $2", "ungültige Eingabesyntax für Typ date: »bad«", "PostgreSQL refuses it"),
        ("unbenanntes Portal, Parameter $2 = 'bad'", "Typ date: »bad«", "PostgreSQL refuses it"),
    ],
)
def test_a_parameter_that_postgresql_refuses_is_known_in_any_language(
    context: str, message: str | None, reason: str
) -> None:
    found = refused_by_server(context, message)
    assert found is not None
    assert (found[0], found[1].reason) == (2, reason)


@pytest.mark.parametrize("context", [None, "", "PL/pgSQL function f() line 1", 'SQL statement "SELECT $1"'])
def test_other_errors_are_no_parameters(context: str | None) -> None:
    assert refused_by_server(context, "no") is None
