"""What all tests of the runtime share: no test may leave a task behind."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from actors.testing import ManualClock, settle


@pytest.fixture(autouse=True)
async def no_task_is_left_behind() -> AsyncIterator[None]:
    before = asyncio.all_tasks()
    yield
    await settle()
    assert asyncio.all_tasks() - before - {asyncio.current_task()} == set()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(start=1000.0)
