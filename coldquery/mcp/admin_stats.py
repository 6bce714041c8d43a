"""The statistics of a table, an index or the database, with what they suggest."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from coldquery.mcp.admin_subject import Asking
from coldquery.postgres.maintenance.advice import database_advice, index_advice, table_advice
from coldquery.postgres.maintenance.statements import Subject

# What only the advice goes by.
_ASIDE = {"freeze_max_age", "blocks_wanted", "table_bytes"}


async def statistics(asking: Asking, subject: Subject) -> dict[str, Any]:
    """What PostgreSQL has counted, and suggestions, where there are any.

    Raises:
        Refusal: as `Gateway.look`.
    """
    match subject.what:
        case "table":
            (figures,) = await asking.look("admin_table", [subject.oid])
            return {"table": subject.name, **_plain(figures), "suggestions": table_advice(figures)}
        case "index":
            (figures,) = await asking.look("admin_index", [subject.oid])
            return {"index": subject.name, **_plain(figures, "table"), "suggestions": index_advice(figures)}
        case _:
            (figures,) = await asking.look("admin_database")
            return {**_plain(figures), "suggestions": database_advice(figures)}


def _plain(figures: Mapping[str, Any], *first: str) -> dict[str, Any]:
    """What says something, a flag that is false and a count of nothing included."""
    names = [*first, *(name for name in figures if name not in first)]
    return {name: figures[name] for name in names if figures[name] is not None and name not in _ASIDE}
