"""What is told of what the catalog says about an object: as much as was asked for, and no list without an end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from coldquery.errors import Code, Refusal, cut
from coldquery.postgres.catalog.listing import Detail

# The questions fetch one more of each, or one character more.
CAPS: Mapping[str, int] = {
    "constraints": 50,
    "foreign_keys": 50,
    "referenced_by": 50,
    "indexes": 50,
    "triggers": 50,
    "policies": 50,
    "partitions": 20,
    "inherited_by": 50,
    "used_by": 50,
    "members": 50,
    "labels": 500,
}
_LABELS_OF_COLUMN = 20
_TEXTS: Mapping[str, int] = {"comment": 2_000, "definition": 10_000, "source": 10_000, "default": 1_000}
_INNER_TEXTS: Mapping[str, int] = {
    "comment": 500,
    "definition": 1_000,
    "default": 1_000,
    "generated": 1_000,
    "using": 1_000,
    "check": 1_000,
    "bounds": 1_000,
}

_SUMMARY = {
    "name", "kind", "comment", "rows", "columns", "primary_key", "foreign_keys", "referenced_by", "partitioned_by",
    "partition_count", "partition_of", "arguments", "returns", "labels", "base", "table", "function", "version",
    "schema", "tables", "views", "functions", "truncated",
}  # fmt: skip
_SUMMARY_OF_COLUMN = ("name", "type", "not_null", "comment")

# About 15,000 tokens: what does not fit is left out whole, and named.
LARGEST_ANSWER = 60_000


def whole(item: object) -> dict[str, Any]:
    """One object as the catalog's answer has it.

    Raises:
        Refusal: it was too long for an answer of the catalog, and is no JSON any longer.
    """
    if isinstance(item, dict):
        return item
    raise Refusal(
        Code.INVALID_ARGUMENT,
        "There is more to say of an object than fits an answer of the catalog.",
        next="Leave it out, and read information_schema.columns and pg_catalog with pg_query for it.",
    )


def tidy(item: dict[str, Any], detail: Detail = "full") -> dict[str, Any]:
    """One object as it is told: long lists and texts cut and named in `truncated`, and no more than `detail` says."""
    cuts: dict[str, int] = {}
    for name, value in item.items():
        if isinstance(value, list):
            if len(value) > (most := CAPS.get(name, len(value))):
                cuts[name], item[name] = most, value[:most]
            for each in value:
                if isinstance(each, dict):
                    _tidy_inner(each)
        elif isinstance(value, dict):
            _tidy_inner(value)
        elif isinstance(value, str) and len(value) > (most := _TEXTS.get(name, len(value))):
            cuts[name], item[name] = most, cut(value, most)
    if cuts:
        item["truncated"] = cuts
    return _less(item, detail)


def together(items: Sequence[dict[str, Any]], not_found: Sequence[Mapping[str, Any]] = ()) -> dict[str, Any]:
    """The answer about several objects, as many of them as fit."""
    body: dict[str, Any] = {"objects": []}
    size = 0
    for item in items:
        size += len(msgspec.json.encode(item))
        if body["objects"] and size > LARGEST_ANSWER:
            break
        body["objects"].append(item)
    if not_found:
        body["not_found"] = list(not_found)
    told = body["objects"]
    if rest := [item["name"] for item in items[len(told) :]]:
        body["left_out"] = rest
        step = "Describe those in `left_out` by themselves, or with detail=summary."
        body["truncated"] = {"by": "bytes", "limit": LARGEST_ANSWER, "next": step}
    elif any("truncated" in item for item in told):
        body["next"] = "An object's `truncated` says what of it is cut; pg_query reads the rest from pg_catalog."
    return body


def _tidy_inner(each: dict[str, Any]) -> None:
    for name, most in _INNER_TEXTS.items():
        if isinstance(text := each.get(name), str):
            each[name] = cut(text, most)
    if len(labels := each.get("labels", ())) > _LABELS_OF_COLUMN:
        each["labels"] = [*labels[:_LABELS_OF_COLUMN], "…"]


def _less(item: dict[str, Any], detail: Detail) -> dict[str, Any]:
    match detail:
        case "full":
            return item
        case "summary":
            kept = {name: value for name, value in item.items() if name in _SUMMARY}
            if "columns" in kept:
                kept["columns"] = [
                    {name: each[name] for name in _SUMMARY_OF_COLUMN if name in each} for each in kept["columns"]
                ]
            return kept
        case "names":
            kept = {name: item[name] for name in ("name", "kind", "columns") if name in item}
            if "columns" in kept:
                kept["columns"] = [each["name"] for each in kept["columns"]]
            return kept
