"""What tools say is the same by the express door and by FastMCP's, in every word that is not passing."""

from __future__ import annotations

import pytest

from tests.e2e.doors.calls import OTHER_TOOLS, QUERIES, WRITES
from tests.e2e.doors.pair import Doors


async def test_queries_are_answered_alike(doors: Doors) -> None:
    if wrong := await doors.differences(QUERIES):
        pytest.fail("\n".join(wrong))


async def test_writes_are_answered_alike(doors: Doors) -> None:
    if wrong := await doors.differences(WRITES, is_story=True):
        pytest.fail("\n".join(wrong))


async def test_the_other_tools_answer_alike(doors: Doors) -> None:
    if wrong := await doors.differences(OTHER_TOOLS):
        pytest.fail("\n".join(wrong))
