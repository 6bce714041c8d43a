"""How late the event loop is: what every call waits for beside everything else."""

from __future__ import annotations

import asyncio
import time

from coldquery.telemetry.metrics import LAG_SECONDS

EVERY_S = 0.1


async def watch_loop() -> None:
    """Measure for ever; cancel it to stop."""
    while True:
        asked = time.perf_counter() + EVERY_S
        await asyncio.sleep(EVERY_S)
        LAG_SECONDS.observe(max(time.perf_counter() - asked, 0.0))
