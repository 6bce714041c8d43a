"""A server that answers whatever it receives with the same bytes and parses nothing: the client is measured by it."""

import argparse
import asyncio
from typing import cast, override

import uvloop


class Constant(asyncio.Protocol):
    def __init__(self, answer: bytes) -> None:
        self._answer = answer

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's are none by inheritance.
        self._transport = cast("asyncio.Transport", transport)

    @override
    def data_received(self, data: bytes) -> None:
        self._transport.write(self._answer)


async def serve(port: int, size: int) -> None:
    body = b'{"jsonrpc":"2.0","id":1,"result":{"text":"%s"}}' % (b"x" * size)
    answer = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    server = await asyncio.get_running_loop().create_server(lambda: Constant(answer), "127.0.0.1", port)
    await server.serve_forever()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--size", type=int, default=100)
    options = parser.parse_args()
    asyncio.run(serve(options.port, options.size), loop_factory=uvloop.new_event_loop)


if __name__ == "__main__":
    main()
