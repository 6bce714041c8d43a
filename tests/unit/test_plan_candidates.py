"""Which index a condition asks for."""

from __future__ import annotations

import pytest

from coldquery.postgres.plans.candidates import conjuncts, index_for
from coldquery.postgres.plans.tree import Node

ORDERS = Node({"Relation Name": "orders", "Schema": "shop", "Alias": "o"})


@pytest.mark.parametrize(
    ("condition", "index"),
    [
        ("(o.customer_id = 7)", "(customer_id)"),
        ("((o.customer_id = 7) AND (o.status = 'lost'::text))", "(customer_id, status)"),
        ("((o.placed_at > '2026-01-01'::date) AND (o.status = 'lost'::text))", "(status, placed_at)"),
        ("((o.a > 1) AND (o.b < 2))", "(a)"),
        ("((o.a = 1) AND (o.a = 2))", "(a)"),
        ("((o.a = 1) AND ((o.b = 2) OR (o.c = 3)))", "(a)"),
        ("(lower(o.email) = 'x'::text)", "(lower(email))"),
        ("(lower((o.email)::text) = 'x'::text)", "(lower(email))"),
        ("((o.status)::text = 'lost'::text)", "(status)"),
        ("(o.a = ANY ('{1,2}'::integer[]))", "(a)"),
        ("(o.deleted_at IS NULL)", "(deleted_at)"),
        ("(o.customer_id = c.id)", "(customer_id)"),
        ('(o."Odd ""Name""" = 1)', '("Odd ""Name""")'),
        ("(o.name ~~ '%x%'::text)", "USING gin (name gin_trgm_ops)"),
        ("((o.details ->> 'page'::text) = 'x'::text)", "((details ->> 'page'::text))"),
        ("(((o.details -> 'a'::text) ->> 'b'::text) = 'x'::text)", None),
        ("(o.tags @> '{x}'::text[])", "USING gin (tags)"),
        ("(o.note = 'o.note AND (b'::text)", "(note)"),
    ],
)
def test_a_condition_gets_its_index(condition: str, index: str | None) -> None:
    assert index_for(ORDERS, condition) == (index and f"CREATE INDEX ON shop.orders {index}")


@pytest.mark.parametrize(
    "condition",
    [
        "((o.a = 1) OR (o.b = 2))",
        "(o.a <> 1)",
        "(o.a = o.b)",
        "(c.id = 1)",
        "((o.a + 1) = 2)",
        "(date_trunc('day'::text, o.placed_at) = '2026-01-01'::date)",
        "o.is_paid",
        "(NOT o.is_paid)",
        "(length(o.note) > (o.a))",
        "",
        "((",
        "(o.a @= 1)",
    ],
)
def test_what_no_plain_index_serves_gets_none(condition: str) -> None:
    assert index_for(ORDERS, condition) is None


def test_a_relation_with_an_odd_name_is_quoted() -> None:
    node = Node({"Relation Name": 'Weird "Name".', "Schema": "public", "Alias": 'Weird "Name".'})
    assert index_for(node, '("Weird ""Name""."."Col" = 1)') == 'CREATE INDEX ON public."Weird ""Name""." ("Col")'


def test_conjuncts_come_without_their_parentheses() -> None:
    assert list(conjuncts("(((a = 1) AND (b = 'x AND y'::text)) AND ((c = 2) OR (d = 3)))")) == [
        "a = 1",
        "b = 'x AND y'::text",
        "(c = 2) OR (d = 3)",
    ]
