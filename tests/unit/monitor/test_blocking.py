"""Who waits for whom, as trees."""

from __future__ import annotations

from typing import Any

import pytest

from coldquery.postgres.monitor.backends import Own
from coldquery.postgres.monitor.locks import DEEPEST, blocking, circles


def row(pid: int, *blocked_by: int, state: str = "active", application: str | None = "psql") -> dict[str, Any]:
    waits = bool(blocked_by)
    return {
        "pid": pid,
        "blocked_by": list(blocked_by),
        "lock": "transactionid" if waits else None,
        "mode": "ShareLock" if waits else None,
        "what": "row of public.t" if waits else None,
        "waiting_s": 2.04 if waits else None,
        "database": "shop",
        "user": "u",
        "application": application,
        "state": state,
        "transaction_s": 3.0,
        "state_s": 3.0,
        "query": "UPDATE t SET a = 'secret' WHERE id = 4711",
        "hidden": False,
    }


def shape(nodes: list[dict[str, Any]]) -> list[Any]:
    """The trees as process ids: (root, [(child, […])])."""
    return [(each["pid"], shape(each["blocks"])) if "blocks" in each else each["pid"] for each in nodes]


@pytest.mark.parametrize(
    ("rows", "trees", "deadlocks"),
    [
        ([], [], None),
        ([row(1), row(2, 1)], [(1, [2])], None),
        ([row(1), row(2, 1), row(3, 2), row(4, 1)], [(1, [(2, [3]), 4])], None),
        # Who stands in a queue waits for all before him, and is told once.
        ([row(1), row(2, 1), row(3, 1, 2)], [(1, [2, 3])], None),
        ([row(1), row(2), row(3, 1, 2), row(4, 2)], [(1, [3]), (2, [4])], None),
        # PostgreSQL names the members of a parallel query's group more than once.
        ([row(1), row(2, 1, 1)], [(1, [2])], None),
        ([row(1, 2), row(2, 1)], [(1, [2])], [[1, 2]]),
        ([row(5, 7), row(6, 5), row(7, 6), row(8, 7)], [(5, [(6, [(7, [8])])])], [[5, 6, 7]]),
        ([row(1, 2), row(2, 1), row(3, 4), row(4, 3)], [(1, [2]), (3, [4])], [[1, 2], [3, 4]]),
        # A circle that a root holds up too is a circle all the same.
        ([row(9), row(1, 2, 9), row(2, 1)], [(9, [(1, [2])])], [[1, 2]]),
        # The blocker has gone since, or did not fit.
        ([row(2, 1)], [2], None),
    ],
)
def test_each_backend_stands_once_beneath_whom_it_waits_for(
    rows: list[dict[str, Any]], trees: list[Any], deadlocks: list[list[int]] | None
) -> None:
    body = blocking(rows, {})
    assert shape(body["blockers"]) == trees
    assert body.get("deadlocks") == deadlocks
    assert body["waiting"] == sum(bool(each["blocked_by"]) for each in rows)


def test_a_long_line_is_not_deep() -> None:
    body = blocking([row(1), *(row(pid, pid - 1) for pid in range(2, 201))], {})

    def pids(nodes: list[dict[str, Any]], depth: int = 0) -> list[int]:
        assert not nodes or depth <= DEEPEST
        return [pid for each in nodes for pid in (each["pid"], *pids(each.get("blocks", []), depth + 1))]

    assert sorted(pids(body["blockers"])) == list(range(1, 201))


def test_a_node_says_what_it_waits_for_and_shows_no_literal() -> None:
    (root,) = blocking([row(1), row(2, 1), row(3, 1, 2)], {})["blockers"]
    assert "waits_for" not in root
    first, second = root["blocks"]
    assert first["waits_for"] == {
        "what": "row of public.t", "lock": "transactionid", "mode": "ShareLock", "since_s": 2.0
    }  # fmt: skip
    assert first["query"] == "UPDATE t SET a = ? WHERE id = ?"
    assert "blocked_by" not in first
    assert second["blocked_by"] == [1, 2]


@pytest.mark.parametrize(
    ("root", "told", "words"),
    [
        (row(1), {"session": "Abcdefgh", "label": "import", "yours": True}, "It is your session"),
        (row(1, application="coldquery/node/2/Zyxwvuts"), {}, "It is your session"),
        (row(3, application="coldquery/node/2/Zyxwvuts"), {"session": "Zyxwvuts", "yours": False}, "another's gateway"),
        (row(3, application="coldquery/node/2/write"), {"gateway": "write"}, "It works"),
        (row(3, state="idle in transaction"), {}, "idle in a transaction"),
        (row(3, state="active"), {}, "It works"),
        (row(0), {"state": "prepared transaction"}, "ROLLBACK PREPARED"),
    ],
)
def test_a_root_says_whose_it_is_and_how_it_ends(root: dict[str, Any], told: dict[str, Any], words: str) -> None:
    (node,) = blocking([root, row(2, root["pid"])], {1: Own("Abcdefgh", "import", yours=True)})["blockers"]
    assert {name: node[name] for name in told} == told
    assert words in node["next"]
    assert [each["pid"] for each in node["blocks"]] == [2]


def test_circles_are_groups_of_those_that_reach_each_other() -> None:
    assert circles({1: [2], 2: [3], 3: [2], 4: [4], 5: []}) == [[2, 3], [4]]
