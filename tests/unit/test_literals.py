"""PostgreSQL's text of arrays, rows and hstore, without PostgreSQL. test_values_property.py asks it for its opinion."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coldquery.postgres.literals import (
    as_text,
    format_array,
    format_hstore,
    format_record,
    parse_array,
    parse_hstore,
    parse_record,
    read_array,
)

# Without NUL and surrogates, which PostgreSQL's text can't hold; with much of what needs an escape.
TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]) | st.sampled_from('"\\{}(),; NUL'))
ITEMS = st.lists(TEXT | st.none())


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{}", []),
        ("{1,NULL}", ["1", None]),
        (" { a b , null , Null , nulls } ", ["a b", None, None, "nulls"]),
        (r'{"NULL","","a\"b","\\"}', ["NULL", "", 'a"b', "\\"]),
        ("{{1,2},{3,4}}", [["1", "2"], ["3", "4"]]),
        ('{"{}"}', ["{}"]),
        ('{"a\nb"}', ["a\nb"]),
    ],
)
def test_an_arrays_text_is_understood_however_it_is_written(text: str, value: list[Any]) -> None:
    assert parse_array(text) == value


@pytest.mark.parametrize(
    "text",
    ["", "x", "{", "}", ",", "{1", "{1}}", "{,}", "{1,}", '{"a"b}', '{a"b"}', "{1}{2}", "{}x", "{{1}2}", "{1 {2}}",
     '{"', '{"\\"}', "{a\\b}", "[0:1]={1,2}"],
)  # fmt: skip
def test_what_is_no_array_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not an array"):
        parse_array(text)


def test_bounds_are_dropped_where_postgresql_writes_them() -> None:
    assert read_array("[5:6]={1,NULL}", int) == [1, None]
    assert read_array("[0:0][2:3]={{1,2}}", int) == [[1, 2]]


def test_a_box_array_has_its_own_delimiter() -> None:
    assert read_array("{(3,4),(1,2);NULL}", None, ";") == ["(3,4),(1,2)", None]
    assert format_array(["(3,4),(1,2)", None], ";") == '{"(3,4),(1,2)";NULL}'


@given(ITEMS)
def test_an_array_comes_back(items: list[str | None]) -> None:
    text = format_array(items)
    assert parse_array(text) == items
    assert read_array(text, None) == items
    assert read_array(text, str.upper) == [each and each.upper() for each in items]


@given(st.lists(ITEMS.filter(bool), min_size=1))
def test_so_does_one_of_arrays(items: list[list[str | None]]) -> None:
    assert read_array(format_array(items), None) == items


@given(ITEMS.filter(bool))
def test_a_row_comes_back(fields: list[str | None]) -> None:
    assert parse_record(format_record(fields)) == list(fields)


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ("()", [None]),
        ("(,)", [None, None]),
        ('(1,"a b",,"")', ["1", "a b", None, ""]),
        (r'("x""y\\z","(1,""a"")")', ['x"y\\z', '(1,"a")']),
        ('("a\nb",c)', ["a\nb", "c"]),
    ],
)
def test_a_rows_text_is_taken_apart(text: str, fields: list[str | None]) -> None:
    assert parse_record(text) == fields


@given(st.dictionaries(TEXT, TEXT | st.none()))
def test_an_hstore_comes_back(pairs: dict[str, str | None]) -> None:
    assert parse_hstore(format_hstore(pairs)) == pairs


@pytest.mark.parametrize(("value", "text"), [("x", "x"), (True, "true"), (5, "5"), ([1, None], '{"1",NULL}')])
def test_a_fitted_value_becomes_text(value: object, text: str) -> None:
    assert as_text(value) == text
