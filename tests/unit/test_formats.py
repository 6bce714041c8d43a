"""Rows in each of the four forms: nothing is lost, nothing hides."""

import csv
import io
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coldquery.mcp.formats import Format, rows_of
from coldquery.postgres.answer import Column, Result, unique_names
from coldquery.postgres.json_text import encode, escaped_json

ODD = 'a,"b"|c\nd'
HIDDEN = "\x1b[31m\x7f\x9b\u202e\u2066\U000e0041"


def result(*rows: tuple[Any, ...], names: tuple[str, ...] = ("a", "b")) -> Result:
    columns = tuple(Column(name, "text") for name in names)
    return Result(columns, list(rows), encode(list(rows)), "SELECT", len(rows), None)


def shown(rows: Result, form: Format) -> Any:
    return json.loads(msgspec.json.encode(rows_of(rows, form)))


def test_a_table_has_its_columns_once_and_rows_as_arrays() -> None:
    assert shown(result(("x", None), names=("n", "n")), "table") == {
        "columns": [{"name": "n", "type": "text"}, {"name": "n", "type": "text"}],
        "rows": [["x", None]],
    }


def test_a_table_takes_little_more_than_half_of_a_list_of_objects() -> None:
    names = ("order_id", "customer_id", "full_name", "is_shipped", "total_amount", "ordered_on", "updated_at",
             "discount_rate", "remarks", "tracking_number")  # fmt: skip
    rows = [
        (i, i % 500, f"customer {i}", i % 2 == 0, f"{i}.25", "2026-01-01", "2026-01-01 12:00:00+00", i / 10, None, i)
        for i in range(1_000)
    ]
    objects = msgspec.json.encode([dict(zip(names, row, strict=True)) for row in rows])
    table = msgspec.json.encode(rows_of(result(*rows, names=names), "table"))
    assert len(table) <= 0.55 * len(objects)


def test_objects_keep_columns_of_the_same_name_apart() -> None:
    body = shown(result((1, 2, 3), names=("n", "n", "n_2")), "objects")
    assert body["rows"] == [{"n": 1, "n_2": 2, "n_2_2": 3}]
    assert [each["name"] for each in body["columns"]] == ["n", "n_2", "n_2_2"]


def test_columns_without_a_name_survive() -> None:
    # PostgreSQL's SQL has no such name, and its protocol has.
    nameless = result((1, 2), names=("", ""))
    assert [each["name"] for each in shown(nameless, "table")["columns"]] == ["", ""]
    assert shown(nameless, "objects")["rows"] == [{"": 1, "_2": 2}]
    assert rows_of(nameless, "csv")["csv"] == '"",""\n1,2\n'
    assert rows_of(nameless, "markdown")["markdown"] == "|  |  |\n| --- | --- |\n| 1 | 2 |\n"


def test_csv_tells_null_from_an_empty_string_and_quotes_what_it_must() -> None:
    raw = msgspec.Raw(b'{"k": [1.10]}')
    text = rows_of(result((None, ""), (ODD, raw), (True, 0.5), (" x", "y")), "csv")["csv"]
    assert text == 'a,b\n,""\n"a,""b""|c\nd","{""k"": [1.10]}"\ntrue,0.5\n" x",y\n'
    assert list(csv.reader(io.StringIO(text)))[2] == [ODD, '{"k": [1.10]}']


def test_markdown_keeps_each_row_in_its_line() -> None:
    text = rows_of(result((None, ODD)), "markdown")["markdown"]
    assert text == '| a | b |\n| --- | --- |\n| NULL | a,"b"\\|c<br>d |\n'


@pytest.mark.parametrize("form", ["csv", "markdown"])
def test_a_statement_without_columns_has_no_table(form: Format) -> None:
    assert rows_of(result(names=()), form) == {}


@pytest.mark.parametrize("form", ["csv", "markdown"])
def test_control_characters_are_escaped_in_text(form: Format) -> None:
    text = rows_of(result((HIDDEN, "é 😀\t")), form)[form]
    assert "\\u001b[31m\\u007f\\u009b\\u202e\\u2066\\udb40\\udc41" in text
    assert "é 😀\t" in text
    assert not set(HIDDEN) - set("[31m") & set(text)


@given(st.text())
def test_json_hides_nothing_and_stays_the_same(text: str) -> None:
    try:
        before = msgspec.json.encode([text + HIDDEN])
    except UnicodeEncodeError:
        return
    after = escaped_json(before)
    assert json.loads(after) == json.loads(before)
    assert not any(character in after.decode() for character in HIDDEN.replace("[31m", ""))


def test_many_columns_of_one_name_are_named_at_once() -> None:
    # A thousand times as many steps would be noticed.
    assert unique_names([Column("a", "int4")] * 1_600)[-1] == "a_1600"


@given(st.lists(st.sampled_from(["a", "a_2", "a_2_2", "?column?"])))
def test_unique_names_are_unique(names: list[str]) -> None:
    unique = unique_names([Column(name, "text") for name in names])
    assert len(set(unique)) == len(names)
    assert all(made.startswith(name) for made, name in zip(unique, names, strict=True))


@given(
    st.lists(
        st.tuples(st.none() | st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cf", "Cn", "Zl", "Zp")))),
        min_size=1,
    )
)
def test_any_text_comes_back_from_csv(rows: list[tuple[str | None]]) -> None:
    text = rows_of(result(*rows, names=("a",)), "csv")["csv"]
    assert [each[0] if each else "" for each in csv.reader(io.StringIO(text))][1:] == [row[0] or "" for row in rows]
