"""Standard input as lines: what is too long is answered, and harms nothing after it."""

import asyncio

from coldquery.mcp.stdio import Lines


async def test_a_line_that_is_too_long_is_passed_on_as_no_json_and_the_next_is_read() -> None:
    reader = asyncio.StreamReader(limit=16)
    reader.feed_data(b'{"a": 1}\n' + b"x" * 100)
    lines = Lines(reader)
    assert await anext(lines) == b'{"a": 1}\n'
    too_long = asyncio.ensure_future(anext(lines))
    await asyncio.sleep(0)
    reader.feed_data(b"y" * 10 + b'\n{"b": 2}\n')
    reader.feed_eof()
    assert await too_long == b"too long"
    assert [line async for line in lines] == [b'{"b": 2}\n']
