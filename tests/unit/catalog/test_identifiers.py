"""Names as SQL writes them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coldquery.errors import Code, Refusal
from coldquery.postgres.identifiers import Identifier, parse, quote, quote_name

TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=15)


@pytest.mark.parametrize(
    ("name", "quoted"),
    [
        ("orders", "orders"),
        ("_a1", "_a1"),
        ("Orders", '"Orders"'),
        ("1st", '"1st"'),
        ("a b", '"a b"'),
        ('Weird "Name".', '"Weird ""Name""."'),
        ("select", '"select"'),
        ("int", '"int"'),
        ("name", "name"),
        ("größe", '"größe"'),
        ("a\n", '"a\n"'),
        ("", '""'),
    ],
)
def test_only_what_needs_it_is_quoted(name: str, quoted: str) -> None:
    assert quote(name) == quoted


@pytest.mark.parametrize(
    ("text", "schema", "name", "arguments"),
    [
        ("orders", None, "orders", None),
        (" Shop . Orders ", "shop", "orders", None),
        ('"Shop"."Or.ders"', "Shop", "Or.ders", None),
        ('shop."a ""b"""', "shop", 'a "b"', None),
        ("GRÖSSE", None, "grÖsse", None),
        ("a$1", None, "a$1", None),
        ("shop.total(int, text)", "shop", "total", "int, text"),
        ("total()", None, "total", ""),
        ('"f(x)"', None, "f(x)", None),
        ('"f(x)"(int)', None, "f(x)", "int"),
        ("x" * 70, None, "x" * 63, None),
    ],
)
def test_a_name_is_read_as_postgresql_reads_it(text: str, schema: str | None, name: str, arguments: str | None) -> None:
    parsed = parse(text)
    assert (parsed.schema and parsed.schema.name, parsed.name.name, parsed.arguments) == (schema, name, arguments)


def test_what_was_written_is_kept_beside_what_it_means() -> None:
    assert parse("Orders").name == Identifier("orders", "Orders")
    assert parse('"Orders"').name == Identifier("Orders", "Orders")


@pytest.mark.parametrize(
    "text", ["", " ", ".", "a.", ".a", "a..b", "two words", "a-b", "1st", '"', '""', 'a"b"', "a;b", "a\0"]
)
def test_what_is_no_name_is_refused_and_shown_quoted(text: str) -> None:
    with pytest.raises(Refusal) as caught:
        parse(text)
    assert caught.value.code is Code.INVALID_ARGUMENT
    assert caught.value.next


def test_a_name_has_two_parts_at_most() -> None:
    with pytest.raises(Refusal, match="has 3 parts"):
        parse("a.b.c")


@given(TEXT, TEXT)
def test_what_is_quoted_is_read_back(schema: str, name: str) -> None:
    parsed = parse(quote_name([schema, name]))
    assert parsed.schema is not None
    assert (parsed.schema.name, parsed.name.name) == (schema, name)
