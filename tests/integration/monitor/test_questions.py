"""Each of the monitor's questions reads the catalog and PostgreSQL's own views, and no table of a user's."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib.resources import files
from typing import Any

import pytest

from coldquery.postgres.catalog import question
from tests.integration.monitor.conftest import Connection

PARAMS: dict[str, list[Any]] = {
    "monitor_activity": [None, True, 10],
    "monitor_databases": ["postgres"],
    "monitor_size": [None, 10],
    "monitor_statements": ["io", 10],
}
NAMES = sorted(
    each.name.removesuffix(".sql")
    for each in files("coldquery.postgres.catalog").iterdir()
    if each.name.startswith(("monitor_", "health_")) and each.name.endswith(".sql")
)


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for each in plan.get("Plans", ()):
        yield from nodes(each)


@pytest.mark.parametrize("name", NAMES)
async def test_no_scan_touches_a_users_table(admin: Connection, name: str) -> None:
    await admin.execute("CREATE TABLE public.t (a int PRIMARY KEY); CREATE INDEX ON t (a); CREATE SEQUENCE public.s")
    sql = f"EXPLAIN (VERBOSE, FORMAT JSON) {question(name)}"
    (plan,) = json.loads(await admin.fetchval(sql, *PARAMS.get(name, [])))
    scanned = {(each["Schema"], each["Relation Name"]) for each in nodes(plan["Plan"]) if "Relation Name" in each}
    assert {schema for schema, _ in scanned} <= {"pg_catalog"}


@pytest.mark.parametrize("name", NAMES)
def test_a_question_says_what_it_answers(name: str) -> None:
    assert question(name).startswith("-- ")
    assert "?" in question(name).split("\n\n")[0]
