"""The floor: what a call costs with neither a framework nor a gateway.

An asyncio protocol on uvloop that takes one HTTP request at a time from a connection, finds the SQL and its parameters
in the JSON, runs it on an asyncpg pool and answers with the JSON that an MCP server would. It knows no path, no header
but the length, and no error.
"""

import argparse
import asyncio
from typing import Any, cast, override

import asyncpg
import msgspec
import uvloop

_encoder = msgspec.json.Encoder(enc_hook=str, decimal_format="string")
_decoder = msgspec.json.Decoder()
_TOOLS = b'{"jsonrpc":"2.0","id":1,"result":{"tools":[]}}'


class Floor(asyncio.Protocol):
    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]") -> None:
        self._pool = pool
        self._received = b""
        self._running: asyncio.Task[None] | None = None

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's are none by inheritance.
        self._transport = cast("asyncio.Transport", transport)

    @override
    def data_received(self, data: bytes) -> None:
        self._received += data
        head, _, body = self._received.partition(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n", 1)[0])
        if len(body) < length:
            return
        self._received = b""
        message = _decoder.decode(body)
        if message["method"] == "tools/call":
            self._running = asyncio.create_task(self._call(message))
        else:
            self._answer(_TOOLS)

    async def _call(self, message: dict[str, Any]) -> None:
        arguments = message["params"]["arguments"]
        async with self._pool.acquire() as connection:
            rows = await connection.fetch(arguments["sql"], *arguments["params"])
        text = _encoder.encode([tuple(row) for row in rows]).decode()
        result = {"content": [{"type": "text", "text": text}], "isError": False}
        self._answer(_encoder.encode({"jsonrpc": "2.0", "id": message["id"], "result": result}))

    def _answer(self, body: bytes) -> None:
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        self._transport.write(head.encode() + body)


async def serve(dsn: str, port: int) -> None:
    async with asyncpg.create_pool(dsn, min_size=0, max_size=10) as pool:
        server = await asyncio.get_running_loop().create_server(lambda: Floor(pool), "127.0.0.1", port)
        await server.serve_forever()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--dsn", required=True)
    parser.add_argument("--port", type=int, required=True)
    options = parser.parse_args()
    asyncio.run(serve(options.dsn, options.port), loop_factory=uvloop.new_event_loop)


if __name__ == "__main__":
    main()
