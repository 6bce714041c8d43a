"""The gateway's own asyncpg connection: one statement in, its rows, columns and command tag out, within limits.

This is the only module that uses asyncpg's private calls, and the reason why asyncpg is pinned to one minor version.
tests/integration/test_asyncpg_contract.py says what broke when that changes. They are needed for four things that
asyncpg has no public form of: a limited Execute on the unnamed portal (a public cursor leaves a portal open, which
blocks DDL), the rows with the command tag of one execution, a cancel request that leaves the true answer to be awaited,
and a transaction's beginning and end in the same trip as the statement in it.
"""

from __future__ import annotations

import asyncio
import math
import socket
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import asyncpg
from asyncpg import connect_utils

from coldquery.errors import Code, Refusal
from coldquery.postgres.answer import Column, Limits, Notices, Page, Result
from coldquery.postgres.digest import digest, kind_of
from coldquery.postgres.known_types import ATTRIBUTES, Described, KnownTypes
from coldquery.postgres.outcome import refusal, severity
from coldquery.postgres.wire import Wire, unanswered
from coldquery.telemetry.call import Call, observe_statement
from coldquery.telemetry.metrics import CANCELS

# Rows of the first Execute. Many answers end within it; a larger one is fetched in chunks sized by what has come, since
# what a chunk holds is in memory before it can be measured.
FIRST_CHUNK_ROWS = 4

# So many statements are kept described. asyncpg keeps 100 prepared.
MAX_DESCRIBED = 200

_SELECT = "SELECT"
# What answers no slower may be asked a second time.
BRIEF_S = 0.05

# In the place of the statement of an introspection: a name says that it took no unnamed one's place.
_NOTHING_ASKED = SimpleNamespace(name="nothing")

# A call's deadline lies so much behind PostgreSQL's own limit on its statement, which should fire first.
DEADLINE_MARGIN_S = 2.0
RESEND_CANCEL_S = 0.05
CANCEL_GRACE_S = 2.0


@dataclass(slots=True, eq=False)
class _Known:
    """What a connection knows of a statement: its columns, its parameters, and whether its answers are brief.

    Brief are those that come at once, in a few rows. None is to be found out; with more rows for once it is False for
    good, so that no statement is run again more than once.
    """

    columns: tuple[Column, ...]
    described: Described
    is_brief: bool | None = None

    @property
    def may_be_brief(self) -> bool:
        """The check that nothing is left shows by rows of another form; and row types are looked at before each run."""
        return bool(self.columns) and not self.described.rows

    def answered(self, rows: int, took_s: float) -> None:
        """There was an answer of so many rows."""
        if rows >= FIRST_CHUNK_ROWS:
            self.is_brief = False
        elif self.is_brief is not False:
            self.is_brief = took_s < BRIEF_S or None


@dataclass(frozen=True, slots=True)
class Backend:
    """PostgreSQL's process of a connection. A pid is used again one day; with its start it is unique."""

    pid: int
    started_us: int


class Connection(asyncpg.Connection):
    """An asyncpg connection with `run`, `interrupt` and more. It has one owner, and runs one statement at a time.

    Attributes:
        backend: what is at the other end; `Target.connect` asks.
        notices: what PostgreSQL has said during the last `run` beside its answer; None if nothing.
        statement_timeout_ms: what it was opened with; None if nothing was said.
        call: for whose sake it works now; None if for nobody's.
        took_s: how long the last `run` took.
        executed: whether the last `run` came as far as sending something to be executed.
        cleaned: whether the last `run` has run the statements that were to be its `closing`.
        heard_at: the event loop's time of the last answer.
    """

    if TYPE_CHECKING:  # what asyncpg's stubs leave out
        _addr: Any
        _params: Any
        _protocol: Any
        _transport: Any
        _drop_local_statement_cache: Callable[[], None]
        _execute: Callable[..., Awaitable[Any]]
        _get_statement: Callable[..., Awaitable[Any]]
        _stmts_to_close: set[Any]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._types = KnownTypes()
        self._arrays: dict[int, dict[str, Any]] = {}
        self._known: dict[Any, _Known] = {}
        # Of statements that nobody keeps, by what PostgreSQL says of them.
        self._alike: dict[Any, _Known] = {}

    backend: Backend
    call: Call | None = None
    notices: Notices | None = None
    statement_timeout_ms: int | None = None
    took_s = 0.0
    executed = False
    cleaned = False
    heard_at = -math.inf
    _running = False
    _interruption: tuple[asyncio.Future[None], asyncio.Task[None]] | None = None

    async def run(
        self,
        sql: str,
        params: Sequence[Any],
        limits: Limits,
        *,
        cached: bool,
        complete: bool = False,
        opening: str | None = None,
        closing: tuple[str, ...] = (),
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
            opening: a statement of the gateway's own that begins a transaction, to be run in front of all that this
                statement needs, in the same trip.
            closing: such statements that end it and clean up, and return no rows if all is clean. They are run behind,
                in the same trip, where the answer was brief before, and `cleaned` tells of it. Should it not be brief
                this time, then the statement is run again, without them. Only with an `opening`.

        Raises:
            Refusal: `invalid_argument` when a parameter does not fit (nothing was run), `cancelled` when `interrupt`
                came before anything ran.
            asyncpg.ProtocolError: the closing returned rows.
            asyncpg.PostgresError: the server refused the statement.
            asyncpg.PostgresConnectionError, OSError: the connection broke.
        """
        self._running = True
        self.notices = None
        self.executed = self.cleaned = False
        # Not by the loop's clock, of which uvloop's ticks in whole milliseconds.
        began = time.perf_counter()
        problem: str | None = "cancelled"
        try:
            result = await self._run(
                sql, params, limits, cached=cached, complete=complete, opening=opening, closing=closing
            )
            problem = None
        except asyncpg.InternalClientError as error:
            problem = type(error).__name__
            if not self.is_closed():
                raise
            # PostgreSQL's last word came just before something was to be sent.
            raise ConnectionResetError from None
        except Exception as error:
            problem = getattr(error, "sqlstate", None) or type(error).__name__
            raise
        finally:
            self._running = False
            self.heard_at = asyncio.get_running_loop().time()
            self.took_s = time.perf_counter() - began
            observe_statement(self.call, kind_of(sql), self.took_s, problem, lambda: digest(sql))
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

    def refusal(self, error: BaseException, sql: str | None, limit_ms: int | None) -> Refusal:
        """The catalogue's form of what the last `run` raised.

        Args:
            error: that.
            sql: the statement.
            limit_ms: how long it might take; None if that is not known.
        """
        overdue = limit_ms is not None and self.took_s * 1000 >= limit_ms
        return refusal(error, sql=sql, notices=self.notices, overdue=overdue)

    @property
    def bare(self) -> Connection:
        """The connection itself, when asked of a pool's proxy, which lets go of it as soon as it breaks."""
        return self

    async def control(self, sql: str, timeout_s: float) -> str:
        """Run the gateway's own statements, such as `BEGIN; SET LOCAL …`, in one trip; return the last command's tag.

        By the simple protocol, so never with a caller's text but quoted identifiers. `interrupt` leaves it alone:
        what a cancelled COMMIT or SAVEPOINT did would be anybody's guess. Without an answer in time the wire is cut.
        """
        began = time.perf_counter()
        problem: str | None = "failed"
        try:
            with self.cut_after(timeout_s):
                tag = str(await self.execute(sql))
            problem = None
        finally:
            observe_statement(self.call, "tx_control", time.perf_counter() - began, problem, lambda: digest(sql))
        return tag

    def cut_after(self, timeout_s: float) -> AbstractContextManager[None]:
        """Cut the wire when the block takes longer, which whatever waits there for an answer then raises as."""
        return _Deadline(timeout_s, self.terminate)

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

    def set_text_type(
        self, oid: int, name: str, schema: str, encoder: Callable[[Any], str], decoder: Callable[[str], Any]
    ) -> None:
        """Choose that a type travels as text, both ways. `set_type_codec` refuses ranges and composites."""
        settings = self._protocol.get_settings()
        settings.add_python_codec(oid, name, schema, (), "scalar", encoder, decoder, "text")

    def set_like(self, oid: int, name: str, schema: str, like: int, *, as_text: bool = False) -> None:
        """Choose that a type travels as another one does, in asyncpg's own code."""
        settings = self._protocol.get_settings()
        settings.set_builtin_type_codec(oid, name, schema, "scalar", like, "text" if as_text else None)

    def set_array(self, oid: int, name: str, schema: str, element: int) -> None:
        """Choose that an array travels as asyncpg has it, in binary."""
        self._arrays[oid] = {
            **dict.fromkeys(("basetype", "range_subtype", "attrtypoids", "attrnames", "elemtype_name")),
            "oid": oid,
            "ns": schema,
            "name": name.removesuffix("[]"),
            "kind": b"b",
            "elemtype": element,
            "elemdelim": b",",
        }
        self._protocol.get_settings().register_data_types([self._arrays[oid]])

    def forget_statements(self) -> None:
        """Forget the prepared statements that this connection keeps, after or just before PostgreSQL drops them all."""
        self._drop_local_statement_cache()
        # Else the driver would close each in a trip of its own.
        self._stmts_to_close.clear()
        self._known.clear()

    async def _run(
        self,
        sql: str,
        params: Sequence[Any],
        limits: Limits,
        *,
        cached: bool,
        complete: bool,
        opening: str | None,
        closing: tuple[str, ...],
    ) -> Result:
        statement, known, opening = await self._prepare(sql, cached=cached, opening=opening)
        chunk = min(limits.max_rows + 1, FIRST_CHUNK_ROWS)
        page = Page(limits, known.columns)
        began = time.perf_counter()
        if known.is_brief and closing and opening is not None:
            records, _, _ = await self._begin(
                statement, known.described, params, chunk, opening=opening, closing=closing
            )
            if len(records) < chunk:
                self.cleaned = True
                known.answered(len(records), time.perf_counter() - began)
                page.add(records)
                return self._result(page, known.columns, _SELECT, len(page.rows) if page.full else len(records))
            # There may have been more when the transaction ended.
            known.is_brief = False
            self.notices = None
            began = time.perf_counter()
        records, tag, completed = await self._begin(statement, known.described, params, chunk, opening=opening)
        page.add(records)
        fetched, in_one = len(records), completed
        # What is suspended has had rows; an empty text has no end.
        while records and not completed and (complete or not page.full):
            chunk = page.next_chunk(chunk)
            records, tag, completed = await self._protocol.execute(statement, "", chunk, True, None)
            fetched += len(records)
            if not page.full:
                page.add(records)
        command, row_count = _parse_tag(tag)
        if not in_one or row_count is None:
            # A tag counts the rows of its own Execute only.
            row_count = fetched
        if fetched >= FIRST_CHUNK_ROWS or (command == _SELECT and known.may_be_brief):
            known.answered(fetched, time.perf_counter() - began)
        return self._result(page, known.columns, command, len(page.rows) if page.full and not complete else row_count)

    async def _prepare(self, sql: str, *, cached: bool, opening: str | None) -> tuple[Any, _Known, str | None]:
        """The statement, what is known of it, and the opening if that has not been sent yet."""
        wire: Wire = self._protocol.wire
        # To be described is to be parsed, which can call functions: those of a domain's CHECK on the elements of an
        # array, for one. What is kept described needs no trip, and the opening waits for the next one.
        if opening is not None:
            wire.send_around(unanswered(opening))
        try:
            statement = await self._get_statement(sql, None, named=not cached and "", use_cache=cached)
        finally:
            if wire.take_back():
                opening = None
        known = self._known.get(statement) or self._describe(statement)
        if known.described.rows:
            await self._refresh_rows(statement, known.described.rows)
        if self._interruption is not None:
            raise Refusal(Code.CANCELLED, "The statement was cancelled before it ran.")
        return statement, known, opening

    def _result(self, page: Page, columns: tuple[Column, ...], command: str, row_count: int) -> Result:
        return Result(
            columns=columns,
            rows=page.rows,
            rows_json=b"[" + b",".join(page.encoded) + b"]",
            command=command,
            row_count=row_count,
            truncated=page.truncation,
            notices=self.notices,
        )

    async def _begin(
        self,
        statement: Any,
        described: Described,
        params: Sequence[Any],
        rows: int,
        *,
        opening: str | None,
        closing: tuple[str, ...] = (),
    ) -> tuple[list[Any], bytes | None, bool]:
        """Execute a statement up to so many rows: these, the command tag, and whether that was all."""
        fitted = described.fit(params)
        self.executed = True
        wire: Wire = self._protocol.wire
        if opening is not None:
            wire.send_around(unanswered(opening), unanswered(*closing))
        try:
            records, tag, completed = await self._protocol.bind_execute(statement, fitted, "", rows, True, None)
        except (asyncpg.DataError, asyncpg.PostgresSyntaxError, asyncpg.InterfaceError) as error:
            if (unfit := described.refused(error)) is not None:
                raise error from unfit
            if severity(error) is not None or self.is_closed():
                raise
            # The driver could not write a parameter, so nothing was sent.
            self.executed = False
            raise refusal(error, [each.name for each in described.parameters]) from None
        finally:
            wire.take_back()
        if opening is not None and tag == b"BEGIN":
            # The driver takes the opening's tag for the statement's own, which has not ended yet.
            return records, None, False
        return records, tag, completed

    def _describe(self, statement: Any) -> _Known:
        attributes, parameters = statement._get_attributes(), statement._get_parameters()  # noqa: SLF001
        # A statement without a name is kept by nobody, and described anew by the next of the same text.
        kept, key = (self._known, statement) if statement.name else (self._alike, (attributes, parameters))
        if (known := kept.get(key)) is None:
            columns = tuple(Column(each.name, _type_name(each.type)) for each in attributes)
            known = _Known(columns, self._types.describe(parameters, [each.type for each in attributes]))
            if len(kept) >= MAX_DESCRIBED:
                kept.clear()
            kept[key] = known
        return known

    async def _introspect_types(self, typeoids: Any, timeout: float | None) -> Any:  # noqa: ASYNC109 - asyncpg's
        # asyncpg asks for the types that it meets for the first time. What it is told to put in by itself are only
        # arrays, and all of them again, since each codec that is put in makes it forget them.
        asked: Any = _NOTHING_ASKED
        if others := self._types.learn_built_in(typeoids, self):
            types, asked = await super()._introspect_types(others, timeout)  # type: ignore[misc]
            self._types.learn(others, types, self)
        return list(self._arrays.values()), asked

    async def _refresh_rows(self, statement: Any, rows: Iterable[int]) -> None:
        while stale := self._types.stale(rows):
            told = await self._execute(ATTRIBUTES, (stale,), 0, None, ignore_custom_codec=True)
            if changed := self._types.changed(stale, told):
                types, _ = await self._introspect_types(changed, None)
                self._protocol.get_settings().register_data_types(types)
            if not statement.name:
                statement.mark_unprepared()
        self._types.settle()

    def _process_log_message(self, fields: dict[str, str], _: str | None) -> None:
        # What asyncpg's own listeners would be told of in a later turn of the loop, when the answer may be gone.
        if self._running:
            self.notices = self.notices or Notices()
            self.notices.hear(fields)

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
            CANCELS.labels("confirmed").inc()
        except (OSError, TimeoutError, asyncpg.PostgresError):
            # Not answered in time; or nobody knows whether a request is still on its way, to hit a later statement.
            CANCELS.labels("failed").inc()
            self.terminate()


class _Deadline:
    """Does something when the block takes longer. A class, since every read enters two of them."""

    __slots__ = ("_late", "_timeout_s", "_timer")

    def __init__(self, timeout_s: float, late: Callable[[], object]) -> None:
        self._timeout_s = timeout_s
        self._late = late

    def __enter__(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self._timeout_s, self._late)

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()


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
