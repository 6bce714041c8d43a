"""The framework without the gateway: the smallest honest FastMCP server with one tool.

With `--dsn` the tool runs SQL on an asyncpg pool: no policy, no read-only transaction, no limits, no logs. Without it
the tool answers with a constant. `--fast` serves it with the gateway's settings; without it, as FastMCP serves by
default. It listens on `--port`, or without one serves its standard input.
"""

import argparse
import asyncio
import json
import os
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

os.environ["FASTMCP_LOG_ENABLED"] = "false"

import asyncpg
import uvicorn
from fastmcp import FastMCP
from fastmcp.tools import ToolResult

from coldquery.collector import freeze


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

    async def query(sql: str, params: list[Any]) -> ToolResult:
        async with pools[0].acquire() as connection:
            rows = await connection.fetch(sql, *params)
        return ToolResult(content=json.dumps([list(row.values()) for row in rows], default=str))

    async def constant(sql: str, params: list[Any]) -> ToolResult:  # noqa: ARG001 - it is asked as the other is
        return ToolResult(content="[[1]]")

    mcp.tool(query if dsn else constant, name="query", output_schema=None)
    return mcp


async def fast(mcp: FastMCP, port: int | None) -> None:
    schemas = {tool.name: tool.parameters for tool in await mcp.list_tools()}
    mcp._mcp_server.get_tool_input_schema = schemas.get  # noqa: SLF001
    freeze()
    if port is None:
        await mcp.run_stdio_async(show_banner=False)
        return
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


def run_fast(main: Coroutine[Any, Any, None]) -> None:
    import uvloop  # noqa: PLC0415 - the other way does without

    asyncio.run(main, loop_factory=uvloop.new_event_loop)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--dsn")
    parser.add_argument("--port", type=int)
    parser.add_argument("--fast", action="store_true")
    options = parser.parse_args()
    mcp = build(options.dsn)
    if options.fast:
        run_fast(fast(mcp, options.port))
    elif options.port is None:
        mcp.run("stdio", show_banner=False, log_level="error")
    else:
        mcp.run("http", port=options.port, show_banner=False, log_level="error")


if __name__ == "__main__":
    main()
