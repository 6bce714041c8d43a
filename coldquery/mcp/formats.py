"""The rows of an answer as text, in one of four forms.

Text from the database is data: control characters, and those that change how the text around them is shown, are
escaped in every form.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any, Literal

import msgspec

from coldquery.postgres.answer import Column, Result, unique_names
from coldquery.postgres.json_text import encode, escape

type Format = Literal["table", "objects", "csv", "markdown"]

# The same as in JSON: see coldquery/postgres/json_text.py.
_IN_TEXT = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\U000e0000-\U000e007f]")
_QUOTED = re.compile(r'[",\r\n]|^\s|\s$')


def rows_of(result: Result, form: Format) -> dict[str, Any]:
    """The rows, under the names that they have in an answer, to be made JSON by msgspec.

    `table`: `columns` and `rows` as arrays, the shortest form that loses nothing. `objects`: the same with an object
    for each row. `csv` and `markdown`: a text under that name; nothing if the statement returns no rows.
    """
    if form == "table":
        return {"columns": _columns(result.columns), "rows": msgspec.Raw(result.rows_json)}
    if form == "objects":
        keys = unique_names(result.columns)
        columns = [{**each, "name": key} for each, key in zip(_columns(result.columns), keys, strict=True)]
        return {"columns": columns, "rows": msgspec.Raw(_objects(keys, result.rows))}
    if not result.columns:
        return {}
    return {form: (_csv if form == "csv" else _markdown)(result)}


def _columns(columns: Iterable[Column]) -> list[dict[str, str]]:
    return [{"name": each.name, "type": each.type} for each in columns]


def _objects(keys: Sequence[str], rows: Iterable[Sequence[Any]]) -> bytes:
    return encode([dict(zip(keys, row, strict=True)) for row in rows])


def _csv(result: Result) -> str:
    """As RFC 4180 says, and as PostgreSQL's COPY writes it: NULL is nothing, and an empty string is `""`."""
    lines = [[each.name for each in result.columns], *(map(_text, row) for row in result.rows)]
    return "".join(",".join(map(_csv_cell, line)) + "\n" for line in lines)


def _csv_cell(text: str | None) -> str:
    if text is None:
        return ""
    text = _visible(text)
    return '"' + text.replace('"', '""') + '"' if not text or _QUOTED.search(text) else text


def _markdown(result: Result) -> str:
    """A table for people. NULL is `NULL`, as the string NULL is."""
    names = [each.name for each in result.columns]
    lines = [names, ["---"] * len(names), *(map(_text, row) for row in result.rows)]
    return "".join("| " + " | ".join(map(_markdown_cell, line)) + " |\n" for line in lines)


def _markdown_cell(text: str | None) -> str:
    if text is None:
        return "NULL"
    return _visible(text).replace("|", "\\|").replace("\n", "<br>")


def _text(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else encode(value).decode()


def _visible(text: str) -> str:
    return text if text.isascii() and text.isprintable() else _IN_TEXT.sub(lambda found: escape(found.group()), text)
