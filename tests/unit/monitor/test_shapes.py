"""Shapes of the answers: from rows to what is told."""

from __future__ import annotations

from typing import Any

import pytest

from coldquery.errors import Code, Refusal
from coldquery.gateway import Gateway
from coldquery.mcp.monitoring import Monitor
from coldquery.postgres.monitor import loads
from coldquery.postgres.monitor.words import percent, size, span


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (size(0), "0 B"), (size(999), "999 B"), (size(1536), "1.5 KiB"), (size(10 << 30), "10 GiB"),
        (span(-1), "0 s"), (span(119), "119 s"), (span(120), "2 min"), (span(7200), "2 h"), (span(200_000), "2 d"),
        (percent(0.875), "87.5 %"), (percent(1), "100 %"),
    ],
)  # fmt: skip
def test_figures_are_said_as_people_say_them(said: str, expected: str) -> None:
    assert said == expected


def test_connections_are_counted_by_each_dimension_against_the_limit() -> None:
    groups = [
        {"database": "shop", "user": "a", "application": "web", "state": "idle", "connections": 3},
        {"database": "shop", "user": "b", "application": "web", "state": "active", "connections": 2},
    ]
    row = {"used": 5, "hidden": 0, "max": 13, "reserved": 3, "groups": groups, "limits": {"user a": 4}}
    body = loads.connections(row, 1)
    assert (body["used"], body["usable"], body["used_share"]) == (5, 10, "50 %")
    assert body["limits"] == {"user a": 4}
    assert (body["by_state"], body["by_user"], body["by_application"]) == ({"idle": 3}, {"a": 3}, {"web": 5})


@pytest.mark.parametrize(
    ("done", "total", "progress"),
    [(5, 10, "50 %"), (12, 10, "100 %"), (0, 0, None), (None, None, None), (5, None, None)],
)
def test_progress_is_a_share_where_the_whole_is_known(
    done: int | None, total: int | None, progress: str | None
) -> None:
    row = {"kind": "vacuum", "pid": 1, "application": None, "done": done, "total": total, "hidden": False}
    assert loads.running(row, {}).get("progress") == progress


def test_another_database_is_told_with_its_size_where_it_may_be_known() -> None:
    known = loads.other_database({"name": "b", "bytes": 2048})
    assert known["database"] == {"name": "b", "size": "2 KiB", "bytes": 2048}
    hidden = loads.other_database({"name": "b", "bytes": None})
    assert hidden["database"] == {"name": "b"}
    assert "hidden" in hidden["note"]


class Scripted:
    """A gateway whose answers are given."""

    def __init__(self, answers: dict[str, Any]) -> None:
        self._answers = answers

    async def look(self, name: str, params: Any = ()) -> list[dict[str, Any]]:
        answer = self._answers[name]
        if isinstance(answer, BaseException):
            raise answer
        return [answer]

    def sessions(self) -> tuple[()]:
        return ()


def monitor(**answers: Any) -> Monitor:
    gateway: Gateway = Scripted(answers)  # type: ignore[assignment]  # of a gateway, all that a monitor uses
    return Monitor(gateway, "me")


@pytest.mark.parametrize(
    ("schema", "loaded", "words"),
    [
        (None, False, ["Add pg_stat_statements to shared_preload_libraries", "CREATE EXTENSION"]),
        ("public", False, ["Add pg_stat_statements to shared_preload_libraries"]),
        (None, True, ["CREATE EXTENSION pg_stat_statements in this database."]),
    ],
)
async def test_without_statistics_it_is_said_what_is_missing(
    schema: str | None, loaded: bool, words: list[str]
) -> None:
    about = {"schema": schema, "loaded": loaded, "sees_all": True}
    body = await monitor(monitor_statistics=about).slow_queries("total", 5)
    assert body["available"] is False
    assert all(each in body["next"] for each in words)


LATE = Refusal(Code.STATEMENT_TIMEOUT, "PostgreSQL stopped the statement at its time limit.")


@pytest.mark.parametrize("reason", [LATE, TimeoutError()])
async def test_health_without_one_answer_is_told_all_the_same(reason: Exception) -> None:
    tables = {"bloat": {"measured": 0, "unknown": 0, "tables": []}}
    body = await monitor(health_tables=tables, health_schema=reason).health(["bloat", "constraints"])
    assert [(each["check"], each["verdict"]) for each in body["checks"]] == [
        ("constraints", "unknown"), ("bloat", "ok")
    ]  # fmt: skip
    assert body["verdict"] == "unknown"


async def test_health_without_any_answer_is_refused() -> None:
    with pytest.raises(Refusal) as caught:
        await monitor(health_tables=LATE).health(["bloat"])
    assert caught.value.code is Code.STATEMENT_TIMEOUT


async def test_an_unknown_check_names_the_nearest_and_all() -> None:
    with pytest.raises(Refusal) as caught:
        await monitor().health(["connection"])
    assert caught.value.code is Code.INVALID_ARGUMENT
    assert "There is `connections`." in str(caught.value)
    assert "wraparound" in caught.value.next
