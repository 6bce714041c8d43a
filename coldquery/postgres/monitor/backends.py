"""Backends as an answer shows them: which are the gateway's own, what they run, how long they have been at it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from coldquery.postgres.monitor.shown import shown

OTHERS_HIDDEN = (
    "The gateway's role is no member of pg_read_all_stats: of other roles' backends it sees that they are there, and "
    "not what they do."
)
_GATEWAY = "coldquery/"
_SHORT_ID_LENGTH = 8


@dataclass(frozen=True, slots=True)
class Own:
    """A session of this gateway: its short id, its label if the caller may know it, and whether it is the caller's."""

    short_id: str
    label: str | None = None
    yours: bool = False


type Sessions = Mapping[int, Own]


def whose(pid: int | None, application: str | None, sessions: Sessions) -> dict[str, Any]:
    """What tells a gateway's backend from others, by process id for this gateway's sessions, else by its name.

    Anyone may choose that name, so it says no more than whom to ask.
    """
    if pid is not None and (own := sessions.get(pid)):
        return {"session": own.short_id, "label": own.label, "yours": own.yours}
    purpose = (application or "").rpartition("/")[2]
    if not (application or "").startswith(_GATEWAY):
        return {}
    if len(purpose) == _SHORT_ID_LENGTH:
        return {"session": purpose, "yours": False}
    return {"gateway": purpose}


def backend(row: Mapping[str, Any], sessions: Sessions) -> dict[str, Any]:
    """A row as it is shown: times in words that sort, no literals, nothing that says nothing."""
    shape = {
        **row,
        **whose(row["pid"], row.get("application"), sessions),
        "query": shown(row.get("query")),
        "blocked_by": row.get("blocked_by") or None,
        "hidden": row.get("hidden") or None,
        "found": None,
    }
    return plain(shape)


def plain(body: Mapping[str, Any]) -> dict[str, Any]:
    """Without what is null, and with times and shares to a tenth."""
    return {
        name: max(round(value, 1), 0.0) if isinstance(value, float) else value
        for name, value in body.items()
        if value is not None
    }
