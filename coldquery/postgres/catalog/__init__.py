"""Questions to PostgreSQL's catalog: one .sql file each, with a comment that says what it answers."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Any

import msgspec

from coldquery.postgres.answer import Result


@cache
def question(name: str) -> str:
    """The SQL of a question, by its file's name without the ending."""
    return files(__package__).joinpath(f"{name}.sql").read_text("utf-8")


def records(result: Result) -> list[dict[str, Any]]:
    """The rows of an answer by the names of its columns; what was JSON is decoded."""
    names = [each.name for each in result.columns]
    return [
        {
            name: msgspec.json.decode(value) if isinstance(value, msgspec.Raw) else value
            for name, value in zip(names, row, strict=True)
        }
        for row in result.rows
    ]
