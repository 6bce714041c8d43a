"""Who waits for whom: trees of backends, from those that wait for nobody down."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from coldquery.postgres.monitor.backends import Sessions, backend, plain

PREPARED = 0
# Trees are no deeper: some readers of JSON give up. Who would stand deeper stands there, and says for whom it waits.
DEEPEST = 20
_HOW_TO_END = {
    "session": "It is your session: end it with pg_tx commit or rollback, and the others go on.",
    "other": "It is another's gateway session: its owner ends it, or its time limits do, or an operator.",
    "prepared": "A prepared transaction holds on without a connection: COMMIT PREPARED or ROLLBACK PREPARED (see "
    "pg_prepared_xacts).",
    "idle": "It is idle in a transaction: have its owner end that; as a last resort pg_terminate_backend(pid).",
    "busy": "It works: wait for it, or have its owner cancel it; as a last resort pg_cancel_backend(pid).",
}

type Row = Mapping[str, Any]


@dataclass(slots=True)
class _Place:
    """Where a backend stands in the trees: beneath whom (None: it is a root), how deep, and who stands beneath it."""

    above: int | None
    depth: int = 0
    beneath: list[int] = field(default_factory=list)


def blocking(rows: Sequence[Row], sessions: Sessions) -> dict[str, Any]:
    """The trees, and the circles in them, of monitor_locks.sql's rows.

    Each backend is told in full once, beneath the nearest to the root of those that it waits for; `blocked_by` names
    them all where they are not that one alone. A circle has no root: it is told from its first backend on.
    """
    by_pid = {row["pid"]: row for row in rows}
    waits = {pid: [each for each in dict.fromkeys(row["blocked_by"]) if each in by_pid] for pid, row in by_pid.items()}
    deadlocks = circles(waits)
    places = _places(waits, deadlocks)

    def tree(pid: int) -> dict[str, Any]:
        place = places[pid]
        node = _node(by_pid[pid], place.above, sessions)
        if place.above is None:
            node.update(_advice(by_pid[pid], node))
        if place.beneath:
            node["blocks"] = [tree(each) for each in place.beneath]
        return node

    return {
        "waiting": sum(bool(row["blocked_by"]) for row in rows),
        "blockers": [tree(pid) for pid, place in places.items() if place.above is None],
        **({"deadlocks": deadlocks} if deadlocks else {}),
    }


def circles(waits: Mapping[int, Sequence[int]]) -> list[list[int]]:
    """Groups of backends that wait for each other, in ascending order. PostgreSQL ends them after deadlock_timeout."""
    reached = {pid: _reached(pid, waits) for pid in waits}
    found = (sorted(other for other in reached[pid] if pid in reached[other]) for pid in waits if pid in reached[pid])
    return [list(each) for each in dict.fromkeys(map(tuple, found))]


def _reached(pid: int, waits: Mapping[int, Sequence[int]]) -> set[int]:
    """Whom it waits for, they for, and so on. Itself only if it stands in a circle."""
    seen: set[int] = set()
    ahead = list(waits[pid])
    while ahead:
        each = ahead.pop()
        if each not in seen:
            seen.add(each)
            ahead.extend(waits[each])
    return seen


def _places(waits: Mapping[int, Sequence[int]], deadlocks: Sequence[Sequence[int]]) -> dict[int, _Place]:
    behind: dict[int, list[int]] = {pid: [] for pid in waits}
    for pid, blockers in waits.items():
        for each in blockers:
            behind[each].append(pid)
    places: dict[int, _Place] = {}
    level = [pid for pid in waits if not waits[pid]]
    # Whoever is left when all roots are done stands in a circle or behind one.
    for roots in (level, *([group[0]] for group in deadlocks)):
        level = [pid for pid in roots if pid not in places]
        places.update((pid, _Place(None)) for pid in level)
        for pid in level:
            deepest = places[pid].depth == DEEPEST
            above = places[pid].above if deepest else pid
            assert above is not None  # noqa: S101 - a root is not deep
            for each in behind[pid]:
                if each not in places:
                    places[each] = _Place(above, places[above].depth + 1)
                    places[above].beneath.append(each)
                    level.append(each)
    return places


def _node(row: Row, above: int | None, sessions: Sessions) -> dict[str, Any]:
    if row["pid"] == PREPARED:
        return {"state": "prepared transaction"}
    node = backend({**row, "lock": None, "mode": None, "what": None, "waiting_s": None}, sessions)
    if row["blocked_by"]:
        node["waits_for"] = plain(
            {"what": row["what"], "lock": row["lock"], "mode": row["mode"], "since_s": row["waiting_s"]}
        )
        if list(row["blocked_by"]) == [above]:
            del node["blocked_by"]
    return node


def _advice(row: Row, node: Mapping[str, Any]) -> dict[str, str]:
    if row["blocked_by"]:
        return {}
    if row["pid"] == PREPARED:
        how = "prepared"
    elif "session" in node:
        how = "session" if node["yours"] else "other"
    else:
        how = "idle" if (row["state"] or "").startswith("idle") else "busy"
    return {"next": _HOW_TO_END[how]}
