"""One session: an actor that owns one connection, with one transaction open on it from its first to its last moment."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import ClassVar, assert_never, override

from actors import Abandoned, Actor, Clock, Phase
from coldquery.errors import Code, Refusal
from coldquery.policy import check_explained, check_read, check_session_statement
from coldquery.postgres.answer import Result
from coldquery.postgres.connection import Backend
from coldquery.postgres.outcome import unavailable
from coldquery.postgres.syntax import understand
from coldquery.postgres.target import Target
from coldquery.sessions import status
from coldquery.sessions.batch import check_all, run_all
from coldquery.sessions.commands import (
    Batch,
    Begin,
    Command,
    Commit,
    Explain,
    Inspect,
    Query,
    Release,
    Rollback,
    RollbackTo,
    Savepoint,
)
from coldquery.sessions.held import NOT_OPENED, READ_ONLY, HeldTransaction
from coldquery.sessions.limits import SessionLimits
from coldquery.sessions.reasons import CONNECTION_LOST, INTERRUPTING, REASON_OF, REASONS
from coldquery.sessions.replies import BatchRan, Echo, Finished, Inspected, Moved, Ran, Reply
from coldquery.sessions.spares import Spares
from coldquery.sessions.stories import advise, note, retell, tell, warning
from coldquery.sessions.transaction import Ended, Failed, Open, State, allow, words
from coldquery.telemetry.audit import NO_AUDIT, Audit
from coldquery.telemetry.call import Call
from coldquery.telemetry.metrics import IDLE_SECONDS, MAILBOX_SECONDS

_INTERRUPTIBLE = (Query, Explain, Batch, Inspect)

_CLOSE_MARGIN_S = 2.0
# So much of a call's time is left for the answer to travel.
_ANSWER_MARGIN_S = 0.2
# So many commands that nobody waited for are told of.
_MAX_UNTOLD = 8


@dataclass(frozen=True, slots=True)
class Blocking:
    """A signal to a session: these backends wait for it; none, if they wait no more."""

    pids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A session as others see it, without asking it."""

    state: State
    label: str | None
    client: str | None
    keep: bool
    backend: Backend | None
    target: Target | None
    connected: bool
    blocks: tuple[int, ...]


class SessionActor(Actor[Command, Reply]):
    """Runs one command at a time on its own connection. See docs/actors.md for what the runtime promises.

    Args:
        id: the `session_id`.
        name: what pg_stat_activity shows of it.
        spares: where its connection comes from.
        options: how the session is to be.
        limits: what bounds it.
        clock: for its age.
        client: who opened it, where that can be known to be gone.
        audit: is told of what it writes, and what becomes of that.
    """

    replies = (Refusal,)
    reasons = REASONS
    teardown_timeout_s: ClassVar[float] = 10.0

    def __init__(
        self,
        id: str,  # noqa: A002 - the field's name
        name: str,
        spares: Spares,
        options: Begin,
        *,
        limits: SessionLimits,
        clock: Clock,
        client: str | None = None,
        audit: Audit = NO_AUDIT,
    ) -> None:
        self.options = options
        self._audit = audit
        self.client = client
        self._id = id
        self._name = name
        self._spares = spares
        self._limits = limits
        self._clock = clock
        self._held: HeldTransaction | None = None
        self._last_state: State = Open()
        self._idle_timeout_s = options.idle_timeout_s or limits.idle_timeout_s
        self._idle_since = clock.now()
        self._ends_at = math.inf
        self._blocks: tuple[int, ...] = ()
        self._untold: list[str] = []

    # The runtime's hooks.

    @override
    async def setup(self) -> None:
        self._ends_at = self.ref.started_at + self._limits.max_lifetime_s
        self._held = await HeldTransaction.begin(self._spares, self._name, self.options, self._limits, self._audit)
        self._held.connection.add_termination_listener(self._broke)
        if self._held.connection.is_closed():
            raise unavailable(NOT_OPENED, "the connection broke as soon as it was open")

    @override
    async def receive(self, command: Command) -> Reply:
        before = self.state
        self._takes_up()
        try:
            if no := allow(before, command):
                raise no
            return await self._obey(command)
        except Refusal as error:
            advise(error, before, self.state)
            error.session = self.echo().to_dict()
            raise
        finally:
            self._transaction.connection.call = None
            self._idle_since = self._clock.now()
            self._notice_end()

    @override
    async def teardown(self, reason: str) -> None:
        if self._held is None:
            return
        self._held.connection.remove_termination_listener(self._broke)
        in_doubt = not isinstance(self.state, Ended)
        try:
            await self._held.close(self.teardown_timeout_s - _CLOSE_MARGIN_S)
        finally:
            self.detail = self.state
            # Nobody who ended the session could know what became of a COMMIT that was cut off.
            if in_doubt and isinstance(self.state, Ended) and self.state.xid is not None:
                self.end(REASON_OF[self.state.outcome])
            self._let_go()

    @override
    def on_abandon(self, command: Command) -> None:
        # Stops a caller's statement; what the gateway does before and after it asks whether it is still wanted.
        if isinstance(command, _INTERRUPTIBLE):
            self._transaction.connection.interrupt()

    @override
    def on_unheard(self, abandoned: Abandoned[Command, Reply]) -> None:
        self._untold += [*retell(abandoned), tell(abandoned)]
        del self._untold[:-_MAX_UNTOLD]

    @override
    def on_stop(self, reason: str) -> None:
        if reason in INTERRUPTING and self.running is not None:
            self.on_abandon(self.running.command)

    @override
    def on_signal(self, signal: object) -> None:
        if isinstance(signal, Blocking):
            self._blocks = signal.pids

    @override
    def describe(self) -> Snapshot:
        held = self._held
        return Snapshot(
            state=self.state,
            label=self.options.label,
            client=self.client,
            keep=self.options.keep,
            backend=None if held is None else held.backend,
            target=None if held is None else held.target,
            connected=held is not None and not held.connection.is_closed(),
            blocks=self._blocks,
        )

    @override
    def kind(self, command: Command) -> str:
        return command.kind

    # What others may call.

    @property
    def state(self) -> State:
        """The transaction's."""
        return self._last_state if self._held is None else self._held.state

    def disconnect(self) -> None:
        """Cuts the connection. For the reaper alone: an actor that ends closes it by itself."""
        if self._held is not None:
            self._held.connection.terminate()

    def echo(self) -> Echo:
        """The session as it is now. Tells of an abandoned command once, to a caller who is there to hear it."""
        state = self.state
        abandoned = self._take_untold() if self._untold and not self._orphaned else None
        if isinstance(state, Ended):
            return Echo(
                id=self._id,
                state=words(state),
                savepoints=(),
                idle_expires_in_s=0,
                lifetime_left_s=0,
                abandoned=abandoned,
            )
        left_s = max(self._ends_at - self._clock.now(), 0)
        return Echo(
            id=self._id,
            state=words(state),
            savepoints=state.savepoints,
            idle_expires_in_s=int(min(self._idle_timeout_s, left_s)),
            lifetime_left_s=int(left_s),
            warning=warning(self._blocks, left_s, self._idle_timeout_s),
            abandoned=abandoned,
        )

    # Commands.

    async def _obey(self, command: Command) -> Reply:  # noqa: PLR0911 - a table
        match command:
            case Query():
                return Ran(result=await self._query(command), echo=self.echo())
            case Explain():
                return Ran(result=await self._explain(command), echo=self.echo())
            case Batch():
                return await self._batch(command)
            case Savepoint() | RollbackTo() | Release():
                await self._transaction.move(command)
                return Moved(echo=self.echo())
            case Commit():
                return self._finished(command, await self._commit())
            case Rollback():
                return self._finished(command, await self._transaction.roll_back())
            case Inspect():
                return await self._inspect()
            case _:
                assert_never(command)

    async def _query(self, query: Query) -> Result:
        check_session_statement(query.sql)
        held = self._transaction
        if query.access == "read":
            check_read(query.sql)
            async with held.frame(READ_ONLY, timeout_ms=query.timeout_ms, undo=True):
                return await self._run(query.sql, query)
        if self.options.auto_savepoint:
            async with held.frame(timeout_ms=query.timeout_ms, undo=False):
                return await self._run(query.sql, query)
        if not held.is_limited_to(query.timeout_ms):
            await held.limit_time(query.timeout_ms)
        return await self._run(query.sql, query)

    async def _explain(self, explain: Explain) -> Result:
        writes = _executes_a_write(explain)
        check_explained(explain.sql, read_only=not writes)
        settings = () if writes else (READ_ONLY,)
        async with self._transaction.frame(*settings, timeout_ms=explain.timeout_ms, undo=True):
            try:
                return await self._run(explain.statement, explain)
            except Refusal as error:
                explain.locate(error)
                raise

    async def _batch(self, batch: Batch) -> BatchRan:
        check_all(batch.operations, check_session_statement)
        async with self._transaction.frame(timeout_ms=batch.timeout_ms, undo=False):
            results = await run_all(self._transaction, batch.operations, batch.limits, self._require_wanted)
        return BatchRan(results=results, echo=self.echo())

    def _run(self, sql: str, asked: Query | Explain) -> Awaitable[Result]:
        self._require_wanted()
        writes = isinstance(asked, Query) and asked.access == "write"
        undone = isinstance(asked, Explain) and _executes_a_write(asked)
        return self._transaction.run(sql, asked.params, asked.limits, writes=writes, undone=undone)

    async def _commit(self) -> Ended:
        await self._audit.secure()
        left_s = math.inf if self.running is None else self.running.deadline - asyncio.get_running_loop().time()
        return await self._transaction.commit(max(min(left_s - _ANSWER_MARGIN_S, self._limits.commit_timeout_s), 0.0))

    async def _inspect(self) -> Inspected:
        now = self._clock.now()
        changes, locks, blocks = None, None, None
        if isinstance(self.state, Open):
            async with self._transaction.frame(READ_ONLY, status.SEARCH_PATH, undo=True):
                self._require_wanted()
                changes, locks, blocks = status.understand(await self._transaction.ask(status.QUESTION))
            self._blocks = blocks
        return Inspected(
            age_s=now - self.ref.started_at,
            idle_s=now - self._idle_since,
            label=self.options.label,
            backend_pid=self._transaction.backend.pid,
            sqlstate=self.state.sqlstate if isinstance(self.state, Failed) else None,
            changes=changes,
            locks=locks,
            blocks=blocks,
            echo=self.echo(),
        )

    def _finished(self, command: Commit | Rollback, ended: Ended) -> Finished:
        return Finished(outcome=ended.outcome, xid=ended.xid, note=note(command, ended), echo=self.echo())

    # Inner.

    @property
    def _transaction(self) -> HeldTransaction:
        assert self._held is not None  # noqa: S101 - no command comes before setup has succeeded
        return self._held

    @property
    def _orphaned(self) -> bool:
        return self.running is not None and self.running.phase is Phase.ORPHANED

    def _takes_up(self) -> None:
        """Note how long the session was idle and the command waited, and for whose sake the connection works now."""
        envelope = self.running
        if envelope is None:
            return
        waited_s = time.perf_counter() - envelope.sent_at
        MAILBOX_SECONDS.observe(waited_s)
        IDLE_SECONDS.observe(max(self._clock.now() - self._idle_since - waited_s, 0.0))
        if isinstance(call := envelope.context, Call):
            call.waited("mailbox", waited_s)
            self._transaction.connection.call = call

    def _take_untold(self) -> str:
        untold, self._untold = self._untold, []
        return " ".join(untold)

    def _require_wanted(self) -> None:
        """Go on only if somebody waits for what comes next: not if the caller has left, or the session's time is up."""
        if self._orphaned or self.ref.reason in INTERRUPTING:
            raise Refusal(Code.CANCELLED, "The call was cancelled before the statement ran.")

    def _let_go(self) -> None:
        """Free the closed connection, by far the most of what a session holds; one still open the reaper must find.

        The rest of the session, a cycle of the actor and its cell, waits for the collector.
        """
        if self._held is not None and self._held.connection.is_closed():
            self._last_state, self._held = self._held.state, None

    def _broke(self, _: object) -> None:
        self.ref.stop(CONNECTION_LOST)

    def _notice_end(self) -> None:
        state = self.state
        if not isinstance(state, Ended):
            return
        self.detail = state
        if state.lost and state.xid is None:
            # Whoever asked for the end first, and so had the wire cut, knows the reason better.
            self.end(self.ref.reason or CONNECTION_LOST)
        else:
            self.end(REASON_OF[state.outcome])


def _executes_a_write(explain: Explain) -> bool:
    return explain.analyze and understand(explain.sql).may_write
