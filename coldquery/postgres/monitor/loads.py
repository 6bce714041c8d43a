"""Shapes of the answers about connections, sizes, statements and progress: from rows to what is told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from coldquery.postgres.monitor.backends import Sessions, plain, whose
from coldquery.postgres.monitor.shown import shown
from coldquery.postgres.monitor.words import percent, size

type Row = Mapping[str, Any]

_DIMENSIONS = ("state", "user", "application", "database")


def connections(row: Row, limit: int) -> dict[str, Any]:
    """How many there are against how many there may be, and by state, user, application and database.

    Of each the `limit` with most connections; `left_out` counts the connections of the others.
    """
    usable = row["max"] - row["reserved"]
    counts: dict[str, Counter[str]] = {name: Counter() for name in _DIMENSIONS}
    for group in row["groups"]:
        for name, counter in counts.items():
            counter[group[name]] += group["connections"]
    told = {f"by_{name}": dict(counter.most_common(limit)) for name, counter in counts.items()}
    left_out = {name: rest for name, each in told.items() if (rest := row["used"] - sum(each.values()))}
    return {
        "used": row["used"],
        "usable": usable,
        "used_share": percent(row["used"] / max(usable, 1)),
        "max_connections": row["max"],
        "reserved": row["reserved"],
        **({"limits": row["limits"]} if row["limits"] else {}),
        **told,
        **({"left_out": left_out} if left_out else {}),
    }


def sizes(row: Row, schema: str | None) -> dict[str, Any]:
    """The database, its largest schemas, and its largest tables with what they consist of."""
    tables = [
        {
            "table": each["table"],
            "size": size(each["bytes"]),
            "bytes": each["bytes"],
            "heap": size(each["heap"]),
            "toast": size(each["toast"]) if each["toast"] else None,
            "indexes": size(each["indexes"]),
            "rows": each["rows"],
            "partitions": each["partitions"] or None,
            "estimated": each["estimated"] or None,
        }
        for each in row["tables"]
    ]
    schemas = [
        {"schema": each["schema"], "size": size(each["bytes"]), "tables": each["tables"]} for each in row["schemas"]
    ]
    left = row["found"] - len(tables)
    notes = []
    if left > 0:
        notes.append(f"{left:,} smaller tables are left out; pass a larger limit, or a schema.")
    if row["estimated"]:
        notes.append(
            f"{row['estimated']:,} of the tables are locked by others: their sizes are those of their last VACUUM or "
            "ANALYZE."
        )
    return {
        "database": {"name": row["database"], "size": size(row["bytes"]), "bytes": row["bytes"]},
        **({} if schema else {"schemas": schemas}),
        "tables": [plain(each) for each in tables],
        **({"notes": notes} if notes else {}),
    }


def statements(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Statements with what they cost; times in milliseconds, blocks of (usually) 8 KiB."""
    return [{name: value for name, value in _statement(row).items() if value is not None} for row in rows]


def _statement(row: Row) -> dict[str, Any]:
    asked = row["blocks_hit"] + row["blocks_read"]
    return {
        "query": shown(row["query"]) or ("hidden" if row["hidden"] else "not shown"),
        "user": row["user"],
        "calls": row["calls"],
        "total_ms": round(row["total_ms"], 3),
        "share": percent(row["share"] or 0),
        "mean_ms": round(row["mean_ms"], 3),
        "max_ms": round(row["max_ms"], 3),
        "rows": row["rows"],
        "blocks_read": row["blocks_read"],
        "blocks_written": row["blocks_written"] or None,
        "temp_blocks": row["temp_blocks"] or None,
        "from_cache": percent(row["blocks_hit"] / asked) if asked else None,
        "io_ms": round(row["io_ms"], 3) if row["io_ms"] else None,
    }


def running(row: Row, sessions: Sessions) -> dict[str, Any]:
    """Maintenance that runs, and how far it is."""
    done, total = row["done"], row["total"]
    return plain(
        {
            **row,
            **whose(row["pid"], row["application"], sessions),
            "total": total or None,
            "progress": percent(min(done / total, 1)) if total and done is not None else None,
            "hidden": row["hidden"] or None,
        }
    )


def marked(item: Row, sessions: Sessions) -> dict[str, Any]:
    """An item of a finding, with whose session it is."""
    return plain({**item, **whose(item["pid"], item.get("application"), sessions)})


def other_database(row: Row) -> dict[str, Any]:
    """What can be told of a database that the gateway is not connected to."""
    known = row["bytes"] is not None
    why = "Its schemas and tables can be seen only by a gateway that is connected to it."
    hidden = "The gateway's role may not connect to it, and is no member of pg_read_all_stats: its size is hidden."
    return {
        "database": {"name": row["name"], **({"size": size(row["bytes"]), "bytes": row["bytes"]} if known else {})},
        "note": why if known else hidden,
    }
