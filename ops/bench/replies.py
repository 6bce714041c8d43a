"""What is in the answer to a tools/call: whether it is an error, and its text."""

import json
import re
from typing import Any

from ops.bench.lanes import BenchError

_CHUNKED = re.compile(rb"([0-9a-fA-F]+)\r\n")


def check(body: bytes) -> None:
    """Cheap enough to be done to each answer.

    Raises:
        BenchError: it tells of an error.
    """
    if b'"result"' not in body or b'"isError":true' in body or b'"isError": true' in body:
        raise BenchError(f"the server refused: {body[:500].decode('utf-8', 'replace')}")


def text(body: bytes) -> str:
    """All the text of the answer, which may be JSON, an event of a stream, and that in chunks."""
    if _CHUNKED.match(body):
        body = _joined(body)
    if not body.lstrip().startswith(b"{"):
        data = [line[5:] for line in body.splitlines() if line.startswith(b"data:") and b'"result"' in line]
        body = data[-1] if data else b"{}"
    message: dict[str, Any] = json.loads(body)
    content = message.get("result", {}).get("content", [])
    return "\n".join(block.get("text", "") for block in content)


def _joined(chunks: bytes) -> bytes:
    parts, at = [], 0
    while size := _CHUNKED.match(chunks, at):
        start = size.end()
        at = start + int(size[1], 16) + 2
        parts.append(chunks[start : at - 2])
    return b"".join(parts)
