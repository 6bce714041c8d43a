"""The walk-through of docs/transactions.md, word for word, against the demo shop."""

from __future__ import annotations

import asyncio
import re
import sys
from pathlib import Path

from tests.e2e.conftest import run_gateway

PAGE = Path(__file__).parents[2] / "docs" / "transactions.md"
ADDRESS = "http://127.0.0.1:19002/mcp"


async def test_the_walk_through_prints_what_the_page_says(scratch: Path, pg_bin: Path | None) -> None:
    script, printed = re.findall(r"```(?:python)?\n(.*?)```", PAGE.read_text(), re.DOTALL)[:2]
    assert ADDRESS in script
    flags = ["--demo", "--data-dir", str(scratch / "data"), *(["--pg-bin", str(pg_bin)] if pg_bin else [])]
    async with run_gateway(*flags) as gateway:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            script.replace(ADDRESS, gateway.url),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        async with asyncio.timeout(60):
            out, err = await process.communicate()
    assert out.decode() == printed, err.decode()
