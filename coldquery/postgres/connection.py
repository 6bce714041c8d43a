"""The gateway's own asyncpg connection: one statement in, its rows, columns and command tag out, within limits.

This is the only module that uses asyncpg's private calls, and the reason why asyncpg is pinned to one minor version.
tests/integration/test_asyncpg_contract.py says what broke when that changes. They are needed for three things that
asyncpg has no public form of: a limited Execute on the unnamed portal (a public cursor leaves a portal open, which
blocks DDL), the rows with the command tag of one execution, and a cancel request that leaves the true answer to be
awaited.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import asyncpg
from asyncpg import connect_utils
from asyncpg.protocol.protocol import BUILTIN_TYPE_NAME_MAP

from coldquery.errors import Code, Refusal
from coldquery.postgres.outcome import refusal, severity
from coldquery.postgres.values import cut_cells, encode, to_text

# Rows of the first Execute. Many answers end within it; a larger one is fetched in chunks sized by what has come, since
# what a chunk holds is in memory before it can be measured.
FIRST_CHUNK_ROWS = 16
# Rows that are only counted come so many at once.
DISCARDED_CHUNK_ROWS = 128
# A chunk is at most so many times the one before it, so that a few wide rows after many narrow ones stay few.
CHUNK_GROWTH = 8

# pg_type.typtype: composite, range, multirange. https://www.postgresql.org/docs/current/catalog-pg-type.html
_WHOLE_AS_TEXT = {b"c", b"r", b"m"}

# A call's deadline lies so much behind PostgreSQL's own limit on its statement, which should fire first.
DEADLINE_MARGIN_S = 2.0
RESEND_CANCEL_S = 0.05
CANCEL_GRACE_S = 2.0


@dataclass(frozen=True, slots=True)
class Limits:
    """How much of an answer is wanted: whole rows up to so many, and so many bytes of JSON; cells of so many bytes."""

    max_rows: int
    max_bytes: int
    max_cell_bytes: int


@dataclass(frozen=True, slots=True)
class Truncation:
    """Which limit cut the answer, in rows or bytes. `cell` means that all rows are here but some cells are cut."""

    by: Literal["rows", "bytes", "cell"]
    limit: int


@dataclass(frozen=True, slots=True)
class Column:
    """A column of an answer: its name as PostgreSQL gave it, be it empty or another's too, and its type."""

    name: str
    type: str


@dataclass(frozen=True, slots=True)
class Result:
    """The answer to one statement.

    Attributes:
        columns: in order; empty for a statement that returns no rows.
        rows: one tuple of JSON-ready values for each row.
        rows_json: the same rows as compact JSON text, an array of arrays. It was made to measure them, so it is kept.
        command: the command tag's word or words, such as `SELECT`; "" when the rows were cut before it came.
        row_count: what the command tag reported; when the rows were cut, how many are here.
        truncated: which limit cut the answer, or None if it is whole.
    """

    columns: tuple[Column, ...]
    rows: list[tuple[Any, ...]]
    rows_json: bytes
    command: str
    row_count: int
    truncated: Truncation | None


@dataclass(frozen=True, slots=True)
class Backend:
    """PostgreSQL's process of a connection. A pid is used again one day; with its start it is unique."""

    pid: int
    started_us: int


class Connection(asyncpg.Connection):
    """An asyncpg connection with `run`, `interrupt` and more. It has one owner, and runs one statement at a time.

    Attributes:
        backend: what is at the other end; `Target.connect` asks.
    """

    if TYPE_CHECKING:  # what asyncpg's stubs leave out
        _addr: Any
        _params: Any
        _protocol: Any
        _transport: Any
        _drop_local_statement_cache: Callable[[], None]
        _get_statement: Callable[..., Awaitable[Any]]

    backend: Backend
    _running = False
    _interruption: tuple[asyncio.Future[None], asyncio.Task[None]] | None = None

    async def run(
        self, sql: str, params: Sequence[Any], limits: Limits, *, cached: bool, complete: bool = False
    ) -> Result:
        """Run one statement by the extended protocol and fetch its rows up to the limits.

        The portal is left as it is when a limit is reached; the transaction's end, or the next statement, closes it.

        Args:
            sql: exactly one statement; PostgreSQL refuses more (42601).
            params: a JSON value for each of $1, $2, …
            limits: how much to fetch.
            cached: keep the prepared statement for the next run of the same text. Not inside a long transaction: a
                schema change elsewhere would fail the statement, and with it the transaction.
            complete: when a limit is reached, count the rows beyond it, so that `command` and `row_count` tell of all.
                For what has been done anyway: INSERT ... RETURNING and the like.

        Raises:
            Refusal: `invalid_argument` when a parameter does not fit (nothing was run), `cancelled` when `interrupt`
                came before anything ran.
            asyncpg.PostgresError: the server refused the statement.
            asyncpg.PostgresConnectionError, OSError: the connection broke.
        """
        self._running = True
        try:
            result = await self._run(sql, params, limits, cached=cached, complete=complete)
        finally:
            self._running = False
            if self._interruption is not None:
                answered, cancelling = self._interruption
                answered.set_result(None)
                # No cancel request may outlive its statement: it would hit the next one.
                await cancelling
                self._interruption = None
        if self.is_closed():
            # A request of unknown fate had to be cut off just as the answer came.
            raise ConnectionResetError
        return result

    @property
    def bare(self) -> Connection:
        """The connection itself, when asked of a pool's proxy, which lets go of it as soon as it breaks."""
        return self

    async def control(self, sql: str, timeout_s: float) -> str:
        """Run the gateway's own statements, such as `BEGIN; SET LOCAL …`, in one trip; return the last command's tag.

        By the simple protocol, so never with a caller's text but quoted identifiers. `interrupt` leaves it alone:
        what a cancelled COMMIT or SAVEPOINT did would be anybody's guess. Without an answer in time the wire is cut.
        """
        with self.cut_after(timeout_s):
            return str(await self.execute(sql))

    @contextmanager
    def cut_after(self, timeout_s: float) -> Iterator[None]:
        """Cut the wire when the block takes longer, which whatever waits there for an answer then raises as."""
        timer = asyncio.get_running_loop().call_later(timeout_s, self.terminate)
        try:
            yield
        finally:
            timer.cancel()

    def interrupt(self) -> None:
        """Cancel the statement that runs now, if one does.

        Its owner keeps awaiting `run`, which tells the true outcome: usually 57014, or the result if that was faster.
        The request is repeated until the answer is there, for PostgreSQL ignores one that comes between two steps of a
        statement; after a grace of 2 s the wire is cut.
        """
        if self._running and self._interruption is None:
            loop = asyncio.get_running_loop()
            answered = loop.create_future()
            self._interruption = answered, loop.create_task(self._cancel_until_answered(answered))

    def set_keepalive(self, *, idle_s: int, interval_s: int, probes: int) -> None:
        """Let the kernel notice a dead peer: TCP keepalive on the connection's socket; nothing on a Unix socket."""
        peer = self._transport.get_extra_info("socket")
        if peer is None or peer.family not in {socket.AF_INET, socket.AF_INET6}:
            return
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        if hasattr(socket, "TCP_KEEPIDLE"):  # macOS names it otherwise
            peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, idle_s)
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, interval_s)
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, probes)

    def set_builtin_text_type(self, name: str, encoder: Callable[[Any], str], decoder: Callable[[str], Any]) -> None:
        """Choose that a built-in type travels as text. `set_type_codec` does more, and takes ten times as long."""
        self.set_text_type(BUILTIN_TYPE_NAME_MAP[name], name, "pg_catalog", encoder, decoder)

    def set_text_type(
        self, oid: int, name: str, schema: str, encoder: Callable[[Any], str], decoder: Callable[[str], Any]
    ) -> None:
        """Choose that a type travels as text, both ways. `set_type_codec` refuses ranges and composites."""
        settings = self._protocol.get_settings()
        settings.add_python_codec(oid, name, schema, (), "scalar", encoder, decoder, "text")

    def forget_statements(self) -> None:
        """Drop the prepared statements that this connection keeps, after a schema change made one of them stale."""
        self._drop_local_statement_cache()

    async def _run(self, sql: str, params: Sequence[Any], limits: Limits, *, cached: bool, complete: bool) -> Result:
        statement = await self._get_statement(sql, None, named=not cached and "", use_cache=cached)
        if self._interruption is not None:
            raise Refusal(Code.CANCELLED, "The statement was cancelled before it ran.")
        chunk = min(limits.max_rows + 1, FIRST_CHUNK_ROWS)
        try:
            answer = await self._protocol.bind_execute(statement, params, "", chunk, True, None)
        except (asyncpg.DataError, asyncpg.InterfaceError) as error:
            if severity(error) is not None or self.is_closed():
                raise
            types = [_type_name(each) for each in statement._get_parameters()]  # noqa: SLF001
            raise refusal(error, types) from None

        attributes = statement._get_attributes()  # noqa: SLF001
        columns = tuple(Column(each.name, _type_name(each.type)) for each in attributes)
        page = _Page(limits)
        records, tag, completed = answer
        page.add(records)
        fetched, in_one = len(records), completed
        while not completed and (complete or not page.full):
            chunk = DISCARDED_CHUNK_ROWS if page.full else page.next_chunk(chunk)
            records, tag, completed = await self._protocol.execute(statement, "", chunk, True, None)
            fetched += len(records)
            if not page.full:
                page.add(records)
        command, row_count = _parse_tag(tag)
        if not in_one or row_count is None:
            # A tag counts the rows of its own Execute only.
            row_count = fetched
        return Result(
            columns=columns,
            rows=page.rows,
            rows_json=b"[" + b",".join(page.encoded) + b"]",
            command=command,
            row_count=len(page.rows) if page.full and not complete else row_count,
            truncated=page.truncation,
        )

    async def _introspect_types(self, typeoids: Any, timeout: float | None) -> Any:  # noqa: ASYNC109 - asyncpg's
        # asyncpg asks for the types that it meets for the first time. Composites and ranges stay out of its hands: see
        # values.
        types, statement = await super()._introspect_types(typeoids, timeout)  # type: ignore[misc]
        others = []
        for each in types:
            if each["kind"] in _WHOLE_AS_TEXT:
                self.set_text_type(each["oid"], each["name"], each["ns"], to_text, str)
            else:
                others.append(each)
        return others, statement

    async def _cancel_until_answered(self, answered: asyncio.Future[None]) -> None:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(CANCEL_GRACE_S):
                while not answered.done():
                    try:
                        await connect_utils._cancel(  # type: ignore[attr-defined]  # noqa: SLF001 - see the head of this module
                            loop=loop,
                            addr=self._addr,
                            params=self._params,
                            backend_pid=self._protocol.backend_pid,
                            backend_secret=self._protocol.backend_secret,
                        )
                    except ConnectionRefusedError:
                        """Nothing was sent. The next round tries again, and the grace bounds it."""
                    await asyncio.wait([answered], timeout=RESEND_CANCEL_S)
        except (OSError, TimeoutError, asyncpg.PostgresError):
            # Not answered in time; or nobody knows whether a request is still on its way, to hit a later statement.
            self.terminate()


class _Page:
    """Rows as they come in chunks, kept while they fit the limits."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._size = 1  # the brackets round the rows, less the comma that the first row needs not
        self.rows: list[tuple[Any, ...]] = []
        self.encoded: list[bytes] = []
        self.truncation: Truncation | None = None

    @property
    def full(self) -> bool:
        return self.truncation is not None and self.truncation.by != "cell"

    def add(self, records: Sequence[Any]) -> None:
        limits = self._limits
        room = limits.max_rows - len(self.rows)
        for record in records[:room]:
            row = tuple(record)
            text = encode(row)
            if len(text) > limits.max_cell_bytes and (cut := cut_cells(row, limits.max_cell_bytes)) != row:
                row, text = cut, encode(cut)
                self.truncation = Truncation("cell", limits.max_cell_bytes)
            if self._size + len(text) + 1 > limits.max_bytes:
                self.truncation = Truncation("bytes", limits.max_bytes)
                return
            self._size += len(text) + 1
            self.rows.append(row)
            self.encoded.append(text)
        if len(records) > room:
            self.truncation = Truncation("rows", limits.max_rows)

    def next_chunk(self, last: int) -> int:
        """How many rows to ask for next, from the size of those that came."""
        expected = (self._limits.max_bytes - self._size) * len(self.rows) // self._size + 1
        return max(1, min(self._limits.max_rows + 1 - len(self.rows), expected, last * CHUNK_GROWTH))


def _type_name(kind: asyncpg.Type) -> str:
    return kind.name if kind.schema == "pg_catalog" else f"{kind.schema}.{kind.name}"


def _parse_tag(tag: bytes | None) -> tuple[str, int | None]:
    """A command tag such as `SELECT 5` or `INSERT 0 1` as its words and its count, if it has one.

    Source: https://www.postgresql.org/docs/current/protocol-message-formats.html, CommandComplete
    """
    words = tag.decode().split() if tag else []
    names = [word for word in words if not word.isdigit()]
    count = int(words[-1]) if words and words[-1].isdigit() else None
    return " ".join(names), count
