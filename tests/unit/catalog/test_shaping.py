"""What is told of the catalog's answers: pages, caps, and which object a name means."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from coldquery.errors import Refusal
from coldquery.postgres.catalog.describing import CAPS, LARGEST_ANSWER, tidy, together, whole
from coldquery.postgres.catalog.listing import Detail, Listing, as_like
from coldquery.postgres.catalog.resolution import NotFound, choose, parameters, with_schema
from coldquery.postgres.identifiers import Identifier, parse


def row(name: str, **fields: Any) -> dict[str, Any]:
    found = {
        "number": 1, "class": "relation", "kind": "table", "oid": 1, "schema": "s", "name": name, "signature": None,
        "as_written": False, "visible": True, "similar": None,
    }  # fmt: skip
    return {**found, **fields}


def nothing(*similar: tuple[str | None, str, str]) -> dict[str, Any]:
    return {**row(""), **dict.fromkeys(("class", "kind", "oid", "schema", "name")), "similar": similar or None}


def chosen(text: str, *rows: dict[str, Any], target: str | None = None) -> list[Any] | NotFound:
    found = choose(parse(text), text, rows, target)
    return found if isinstance(found, NotFound) else [each["oid"] for each in found]


def test_a_name_means_what_is_on_the_search_path_then_what_is_the_only_one() -> None:
    assert chosen("t", row("t", oid=1), row("t", oid=2, visible=False)) == [1]
    assert chosen("t", row("t", oid=2, visible=False)) == [2]
    several = chosen("t", row("t", visible=False), row("t", schema="z", visible=False))
    assert isinstance(several, NotFound)
    assert several.hint == "There is s.t, z.t."


def test_a_name_means_what_postgresql_makes_of_it_then_what_was_written() -> None:
    assert chosen("T", row("t", oid=1), row("T", oid=2, as_written=True)) == [1]
    assert chosen("T", row("T", oid=2, as_written=True)) == [2]


def test_a_name_means_a_table_before_a_function_unless_the_target_says() -> None:
    rows = [row("t", oid=1), row("t", oid=2, kind="function", signature="", **{"class": "function"})]
    assert chosen("t", *rows) == [1]
    assert chosen("t", *rows, target="function") == [2]
    other = chosen("t", *rows, target="view")
    assert isinstance(other, NotFound)
    assert other.hint == "There is table s.t, function s.t()."


def test_an_overload_is_chosen_by_its_types_however_they_are_called() -> None:
    overloads = [
        row("f", oid=oid, kind="function", signature=types, **{"class": "function"})
        for oid, types in ((1, "integer"), (2, "integer, character varying"), (3, ""))
    ]
    assert chosen("f", *overloads) == [1, 2, 3]
    assert chosen("f(INT4, varchar)", *overloads) == [2]
    assert chosen("f()", *overloads) == [3]
    assert isinstance(chosen("f(text)", *overloads), NotFound)


def test_what_is_not_there_names_what_is_like_it() -> None:
    index, function = ("shop", "order", "index"), ("Odd", "orders", "function")
    missing = chosen("odrers", nothing(index, function, ("shop", "orders", "table"), ("Odd", "x", "view")))
    assert isinstance(missing, NotFound)
    assert missing.refusal().to_dict()["hint"] == "There is shop.orders."
    other = chosen("odrers", nothing(index, function, ("shop", "x", "table")))
    assert isinstance(other, NotFound)
    assert other.hint == 'There is function "Odd".orders and index shop."order".'
    plain = chosen("zzz", nothing())
    assert isinstance(plain, NotFound)
    assert plain.to_dict() == {"name": "zzz", "why": "There is no object zzz."}
    role = chosen("odrers", nothing((None, "Orders", "role")), target="role")
    assert isinstance(role, NotFound)
    assert role.hint == 'There is "Orders".'


def test_a_schema_for_all_names_goes_with_those_that_have_none() -> None:
    schema = Identifier("shop", "Shop")
    assert parameters([with_schema(parse("T"), schema, "T")]) == [["shop"], ["t"], ["Shop"], ["T"], None]
    assert with_schema(parse("t"), None, "t").schema is None
    with pytest.raises(Refusal, match="names one schema"):
        with_schema(parse("a.t"), schema, "a.t")


@pytest.mark.parametrize(
    ("pattern", "like"), [("a", "%a%"), ("a_b", "%a_b%"), ("a%", "a%"), ("\\", "%\\\\%"), ("%\\", "%\\\\"), ("", "%%")]
)
def test_a_pattern_is_looked_for_anywhere_unless_it_says_where(pattern: str, like: str) -> None:
    assert as_like(pattern) == like


def page(count: int, total: int, **head: Any) -> list[dict[str, Any]]:
    items = [{"name": f"s.t{i}", "kind": "table", "comment": "c" * 301} for i in range(count)]
    return [{"items": {"total": total, **head}}, {"items": items[:1]}, {"items": items[1:]}]


def test_a_cut_list_counts_by_schema_and_says_how_to_go_on() -> None:
    counts = {f"s{i}": 1 for i in range(30)}
    body = Listing("table", limit=2, offset=4).answer(page(2, 40, schemas=31, by_schema=counts))
    assert (body["total"], body["schemas"], body["by_schema"]) == (40, 31, counts)
    assert body["truncated"]["next"].startswith("Pass offset=6 for more")
    assert body["tables"][0] == {"name": "s.t0", "comment": "c" * 299 + "…"}
    last = Listing("table", schema="s", pattern="x", detail="names", limit=2, offset=4).answer(page(2, 7, schemas=1))
    assert last["truncated"]["next"] == "Pass offset=6 for more."
    assert "by_schema" not in last
    assert "truncated" not in Listing("table").answer(page(2, 2, schemas=2))


def test_items_that_come_in_columns_are_the_same_as_those_that_come_one_by_one() -> None:
    columns = {"name": ["s.a", "s.b"], "kind": ["view", "table"], "rows": [0, None], "comment": [None, "c" * 301]}
    items = [{"name": "s.a", "kind": "view", "rows": 0}, {"name": "s.b", "kind": "table", "comment": "c" * 301}]
    details: tuple[Detail, ...] = ("summary", "names")
    for detail in details:
        bodies = [
            Listing("table", detail=detail).answer([{"items": {"total": 2}}, {"items": chunk}])
            for chunk in ({**columns, "size_bytes": None}, copy.deepcopy(items))
        ]
        assert bodies[0] == bodies[1]
    assert bodies[0]["tables"] == ["s.a", "s.b"]


def test_a_page_that_no_answer_of_the_catalog_can_hold_is_refused() -> None:
    with pytest.raises(Refusal, match="more to say"):
        Listing("type").answer(
            [{"items": {"total": 1}}, {"items": '[{"name": "s.t", … [cut: 1048576 of 2000000 bytes]'}]
        )


def test_long_lists_and_texts_are_cut_and_named() -> None:
    item = {
        "name": "t", "definition": "x" * 10_001, "indexes": [{"name": str(i)} for i in range(CAPS["indexes"] + 1)],
        "columns": [{"name": "c", "labels": list("abcdefghijklmnopqrstu"), "default": "d" * 1001}],
    }  # fmt: skip
    told = tidy(item)
    assert told["truncated"] == {"definition": 10_000, "indexes": 50}
    assert (len(told["indexes"]), len(told["definition"])) == (50, 10_000)
    assert (told["columns"][0]["labels"][-1], told["columns"][0]["default"][-1]) == ("…", "…")
    assert "truncated" in together([told])["next"]
    assert "truncated" not in tidy({"name": "t", "indexes": [{}] * 50})


def test_an_answer_that_is_too_long_names_what_it_leaves_out() -> None:
    items = [{"name": str(i), "definition": "x" * (LARGEST_ANSWER // 3)} for i in range(5)]
    body = together(items, [{"name": "z"}])
    assert ([each["name"] for each in body["objects"]], body["left_out"]) == (["0", "1"], ["2", "3", "4"])
    assert "left_out" in body["truncated"]["next"]
    assert body["not_found"] == [{"name": "z"}]
    assert len(together([{"name": "0", "definition": "x" * LARGEST_ANSWER * 2}])["objects"]) == 1


def test_an_object_that_no_answer_of_the_catalog_can_hold_is_refused() -> None:
    with pytest.raises(Refusal, match="more to say"):
        whole('{"name": "t", "columns": [… [cut: 1048576 of 2000000 bytes]')
    assert whole({"name": "t"}) == {"name": "t"}
