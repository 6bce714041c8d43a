"""PostgreSQL's own parser, in this process: libpg_query, which is PostgreSQL 18's grammar as a C library.

The package postgast brings the library and its declarations, and nothing else of it is loaded: its own import takes
30 MB and a third of a second for protobuf, and the trees that it makes take five times as long as the library's JSON.

The library prints trees by recursion and does not look at the stack's end, so that a text of 200 kB (`1+1+1+…`) could
crash the process. Longer texts are therefore parsed on a stack that holds the deepest tree they can make (at most 70
bytes of it were measured for each byte of text), and the longest are not parsed at all.
"""

from __future__ import annotations

import importlib.util
import threading
from collections.abc import Callable
from enum import IntEnum
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from coldquery.errors import cut

# The parser repeats the text in its messages.
MAX_MESSAGE_LENGTH = 200

# Longer texts are not parsed.
LONGEST_BYTES = 128 * 1024
# Up to here the caller's own stack is enough by far.
_INLINE_BYTES = 4 * 1024
_STACK_BYTES = 1 << 20
_STACK_BYTES_PER_BYTE = 256


class Unparsable(Exception):  # noqa: N818 - it says what the text is
    """The parser can't make out the text. `str()` is its own message.

    It may be wrong, or a newer server's syntax, or too long or too deep to look at; or there is no parser on this
    platform.

    Attributes:
        position: in the text, in characters from 1, where that is known.
    """

    def __init__(self, message: str, position: int | None = None) -> None:
        super().__init__(cut(message, MAX_MESSAGE_LENGTH))
        self.position = position


class Kind(IntEnum):
    """What a token is, where that matters. The scanner's own numbers."""

    DECIMAL = 260
    STRING = 261
    UNICODE_STRING = 262
    BITS = 263
    HEX_BITS = 264
    INTEGER = 266
    LINE_COMMENT = 275
    BLOCK_COMMENT = 276


class Token(NamedTuple):
    """A token, by its place in the text as UTF-8."""

    start: int
    end: int
    kind: int


def tree(sql: str) -> bytes:
    """The parse tree, as JSON: `{"version":…,"stmts":[{"stmt":{"SelectStmt":{…}}, …}]}`. Takes 5 to 20 µs.

    Source: the node types' names and fields are PostgreSQL's, src/include/nodes/parsenodes.h.

    Raises:
        Unparsable: it is no SQL that PostgreSQL 18 knows, or too much of it.
    """
    library = _library()

    def call(text: bytes) -> bytes:
        result = library.pg_query_parse(text)
        try:
            _require(result)
            return bytes(result.parse_tree)
        finally:
            library.pg_query_free_parse_result(result)

    return _on_enough_stack(call, _text(sql))


def fingerprint(sql: str) -> str:
    """Sixteen hexadecimal digits, the same for texts that differ in nothing but literals, space and comments.

    Raises:
        Unparsable: as `tree`.
    """
    library = _library()

    def call(text: bytes) -> str:
        result = library.pg_query_fingerprint(text)
        try:
            _require(result)
            return bytes(result.fingerprint_str).decode()
        finally:
            library.pg_query_free_fingerprint_result(result)

    return _on_enough_stack(call, _text(sql))


def tokens(sql: str) -> list[Token]:
    """The text's tokens, comments among them.

    Raises:
        Unparsable: a quote or a comment has no end, or the text is too long.
    """
    import ctypes  # noqa: PLC0415 - the library's declarations have loaded it

    library = _library()
    result = library.pg_query_scan(_text(sql))
    try:
        _require(result)
        return _tokens(ctypes.string_at(result.pbuf.data, result.pbuf.len))
    finally:
        library.pg_query_free_scan_result(result)


@cache
def _library() -> Any:
    package = importlib.util.find_spec("postgast")
    if package is None or package.origin is None:
        raise Unparsable("there is no parser for this platform")
    path = Path(package.origin).with_name("native.py")
    declarations = importlib.util.spec_from_file_location("coldquery.postgres._libpg_query", path)
    assert declarations is not None  # noqa: S101 - a path to a Python file always makes one
    assert declarations.loader is not None  # noqa: S101
    module = importlib.util.module_from_spec(declarations)
    declarations.loader.exec_module(module)
    return module.lib


def _text(sql: str) -> bytes:
    text = sql.encode()
    if len(text) > LONGEST_BYTES:
        raise Unparsable(f"the text is longer than {LONGEST_BYTES} bytes")
    return text


def _require(result: Any) -> None:
    if result.error:
        told = result.error.contents
        raise Unparsable(told.message.decode(errors="replace"), told.cursorpos or None)


def _on_enough_stack[T](call: Callable[[bytes], T], text: bytes) -> T:
    if len(text) <= _INLINE_BYTES:
        return call(text)
    outcome: list[T | Exception] = []

    def work() -> None:
        try:
            outcome.append(call(text))
        except Exception as error:  # noqa: BLE001 - raised where it is waited for
            outcome.append(error)

    before = threading.stack_size(_STACK_BYTES + len(text) * _STACK_BYTES_PER_BYTE)
    try:
        thread = threading.Thread(target=work, name="parser")
        thread.start()
    finally:
        threading.stack_size(before)
    thread.join()
    (result,) = outcome
    if isinstance(result, Exception):
        raise result
    return result


def _tokens(message: bytes) -> list[Token]:
    # A protobuf message: field 2 holds the tokens, and in each fields 1, 2 and 4 are start, end and kind.
    # https://protobuf.dev/programming-guides/encoding
    found = []
    at = 0
    while at < len(message):
        field, at = _varint(message, at)
        value, at = _varint(message, at)
        if field != (2 << 3 | 2):  # the version
            continue
        end, parts = at + value, {}
        while at < end:
            field, at = _varint(message, at)
            parts[field >> 3], at = _varint(message, at)
        found.append(Token(parts.get(1, 0), parts[2], parts[4]))
    return found


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:  # noqa: PLR2004 - the bit that says that more follow
            return value, at
        shift += 7
