"""What the gateway is measured against: the smallest honest FastMCP server with a tool over an asyncpg pool.

No policy, no read-only transaction, no limits, no logs. `--fast` serves it with the same fast settings as the gateway;
without it, as FastMCP serves by default. Without `--dsn` it is the bare framework, for cold start and memory.
"""

import argparse
import asyncio
import gc
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

os.environ["FASTMCP_LOG_ENABLED"] = "false"

import asyncpg
import uvicorn
from fastmcp import FastMCP
from fastmcp.tools import ToolResult


def build(dsn: str | None) -> FastMCP:
    pools: list[Any] = []

    @asynccontextmanager
    async def lifespan(_: FastMCP) -> AsyncIterator[None]:
        if dsn:
            pools.append(await asyncpg.create_pool(dsn, min_size=0, max_size=10))
        yield
        for pool in pools:
            await pool.close()

    mcp = FastMCP("naive", lifespan=lifespan)

    @mcp.tool(output_schema=None)
    async def query(sql: str, params: list[Any]) -> ToolResult:
        async with pools[0].acquire() as connection:
            rows = await connection.fetch(sql, *params)
        return ToolResult(content=json.dumps([list(row.values()) for row in rows], default=str))

    return mcp


async def fast(mcp: FastMCP, port: int) -> None:
    schemas = {tool.name: tool.parameters for tool in await mcp.list_tools()}
    mcp._mcp_server.get_tool_input_schema = schemas.get  # noqa: SLF001
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
    config = uvicorn.Config(
        mcp.http_app(),
        port=port,
        http="httptools",
        ws="none",
        lifespan="on",
        access_log=False,
        log_config=None,
    )
    await uvicorn.Server(config).serve()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--dsn")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--fast", action="store_true")
    options = parser.parse_args()
    mcp = build(options.dsn)
    if options.fast:
        import uvloop  # noqa: PLC0415 - the other way does without

        asyncio.run(fast(mcp, options.port), loop_factory=uvloop.new_event_loop)
    else:
        mcp.run("http", port=options.port, show_banner=False, log_level="error")


if __name__ == "__main__":
    main()
