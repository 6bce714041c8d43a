"""What is wrong with a message or with the head of a request, the same door tells, and in the same words."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.e2e.doors.calls import OTHER_TOOLS, QUERIES, WRITES
from tests.e2e.doors.messages import BODIES, ENVELOPES, HEADS, IDS, LARGE, PARAMS, TRACES, TWICE
from tests.e2e.doors.pair import Doors, Row

TABLES = {
    "ids": IDS,
    "envelopes": ENVELOPES,
    "params": PARAMS,
    "members that come twice": TWICE,
    "bodies": BODIES,
    "large bodies": LARGE,
    "heads": HEADS,
}


@pytest.mark.parametrize("rows", TABLES.values(), ids=TABLES)
async def test_requests_of_every_form_are_answered_alike(doors: Doors, rows: list[Row]) -> None:
    if wrong := await doors.differences(rows):
        pytest.fail("\n".join(wrong))


@pytest.mark.parametrize("row", TRACES, ids=lambda row: row.label)
async def test_a_trace_is_known_by_the_same_rules(doors: Doors, row: Row) -> None:
    if wrong := await doors.differences([row]):
        pytest.fail("\n".join(wrong))


def test_there_are_hundreds_of_requests_for_each_door() -> None:
    rows = [*QUERIES, *WRITES, *OTHER_TOOLS, *(row for rows in TABLES.values() for row in rows)]
    served = Counter(row.served for row in rows)
    assert len(rows) >= 800
    assert (served["express"] >= 500, served["fastmcp"] >= 60, served["neither"] >= 200) == (True, True, True), served
