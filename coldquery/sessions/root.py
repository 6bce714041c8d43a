"""The root of all sessions: admits them, finds them, ends them, and tells what became of those that have ended.

Everything slow (connecting, SQL, closing) happens in the sessions' own tasks.
"""

from __future__ import annotations

import secrets
from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain

import structlog

from actors import (
    ActorRef,
    ActorStopped,
    AskTimeout,
    Clock,
    Draining,
    Limits,
    MailboxFull,
    StartTimeout,
    Supervisor,
    Tombstone,
    TooManyActors,
)
from coldquery.errors import Code, Refusal
from coldquery.postgres.connection import DEADLINE_MARGIN_S
from coldquery.postgres.outcome import unavailable
from coldquery.postgres.target import Target
from coldquery.sessions.commands import Batch, Begin, Command, Commit, Explain, IsolationLevel, Query
from coldquery.sessions.held import NOT_OPENED
from coldquery.sessions.limits import SessionLimits, short_id
from coldquery.sessions.reaper import ActorFact, Kind, Verdict
from coldquery.sessions.reasons import CLIENT_GONE, CONNECTION_LOST
from coldquery.sessions.replies import Echo, Outcome, Reply
from coldquery.sessions.session import Blocking, SessionActor, Snapshot
from coldquery.sessions.spares import Spares
from coldquery.sessions.stories import ended, no_slot, out_of_time
from coldquery.sessions.transaction import Ended, words
from coldquery.telemetry.audit import NO_AUDIT, Audit
from coldquery.telemetry.call import CURRENT
from coldquery.telemetry.metrics import AGE_SECONDS, ENDED, MAILBOX_REJECTED, OPENED

ID_BYTES = 24  # 192 random bits; those that the short id shows are not among the 128 that must stay secret
MAX_GONE_CLIENTS = 1000

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class SessionInfo:
    """A session as a list shows it. Times are in seconds; `short_id` is enough to know it by, and not to use it.

    `queued` is how many commands wait in its mailbox.
    """

    short_id: str
    principal: str
    label: str | None
    state: str
    age_s: float
    idle_s: float | None
    last_command: str | None
    backend_pid: int | None
    blocks: tuple[int, ...]
    queued: int = 0


class SessionRoot:
    """All sessions of one gateway.

    Args:
        target: the database, as a role that can write.
        limits: what bounds them.
        clock: what their lives are measured by.
        tag: what PostgreSQL shows of this gateway in `application_name`: coldquery/<node>/<boot>.
        audit: is told of their beginnings, their ends, and what they write.

    Attributes:
        spares: the connections for the sessions to come.
    """

    def __init__(self, target: Target, limits: SessionLimits, clock: Clock, tag: str, audit: Audit = NO_AUDIT) -> None:
        self.limits = limits
        self._audit = audit
        self.tag = tag
        self.clock = clock
        self.spares = Spares(target, limits.backstops(limits.idle_timeout_s), tag, limits.spare_connections)
        self._gone: OrderedDict[str, None] = OrderedDict()
        self._actors: dict[str, SessionActor] = {}
        # Those that have ended with their connection open: none, unless there is a defect.
        self._left_open: dict[str, SessionActor] = {}
        self._supervisor = Supervisor[Command, Reply](
            clock,
            Limits(
                max_actors=limits.max_sessions,
                max_per_key=limits.max_sessions_per_principal,
                idle_timeout_s=limits.idle_timeout_s,
                max_lifetime_s=limits.max_lifetime_s,
                stop_grace_s=limits.stop_grace_s,
                mailbox_capacity=limits.mailbox_capacity,
                tombstone_ttl_s=limits.tombstone_ttl_s,
                max_tombstones=limits.max_tombstones,
            ),
            on_exit=self._exited,
        )

    @property
    def target(self) -> Target:
        """The database that new sessions open their connections to."""
        return self.spares.target

    def retarget(self, target: Target) -> None:
        """New sessions connect so from now on; those that are open keep their connections."""
        self.spares.retarget(target)

    async def begin(self, principal: str, options: Begin, client: str | None = None) -> Echo:
        """Open a session with its transaction. `Echo.id` is the `session_id`.

        Failing, or with a caller who is gone meanwhile, nothing is left behind.

        Args:
            principal: whose it is.
            options: how it is to be.
            client: who opens it, where it can be known that they are gone (`client_gone`).

        Raises:
            Refusal: `session_limit`, `shutting_down`, `database_unavailable`, `invalid_argument`.
        """
        limits = self.limits
        if options.idle_timeout_s is not None and options.idle_timeout_s > limits.idle_timeout_s:
            raise Refusal(
                Code.INVALID_ARGUMENT,
                f"`idle_timeout_s` may be at most {limits.idle_timeout_s:g} here.",
                next=f"Pass an `idle_timeout_s` up to {limits.idle_timeout_s:g}, or leave it out.",
            )
        if options.deferrable and not (options.read_only and options.isolation_level is IsolationLevel.SERIALIZABLE):
            raise Refusal(
                Code.INVALID_ARGUMENT,
                "`deferrable` has an effect only with `isolation_level` serializable and `read_only`.",
                next="Pass these too, or leave `deferrable` out.",
            )
        # No dash: one at the beginning would be taken for a flag on a command line.
        id = secrets.token_urlsafe(ID_BYTES).replace("-", "_")  # noqa: A001 - the field's name
        name = f"{self.tag}/{short_id(id)}"
        actor = SessionActor(
            id, name, self.spares, options, limits=limits, clock=self.clock, client=client, audit=self._audit
        )
        self._actors[id] = actor
        try:
            await self._start(actor, id, principal)
        except BaseException:
            del self._actors[id]
            raise
        call = CURRENT.get()
        OPENED.labels("read_only" if options.read_only else "read_write").inc()
        _log.info("session_began", request=call and call.request, session=short_id(id), label=options.label)
        told = {"principal": principal, "session": short_id(id), "label": options.label}
        self._audit.note("session_began", call, **told, read_only=options.read_only)
        return actor.echo()

    async def ask(
        self,
        principal: str,
        session_id: str,
        command: Command,
        timeout_s: float | None = None,
        context: object = None,
    ) -> Reply:
        """Have a session run a command.

        Args:
            principal: who asks.
            session_id: as begin answered.
            command: what to do.
            timeout_s: how long the caller waits, queueing included; None is a little more than PostgreSQL's own limit.
            context: travels with the command.

        Raises:
            Refusal: for every failure; `session` tells how the session is then, where it lives.
        """
        ref = self._find(principal, session_id)
        try:
            return await ref.ask(command, self.deadline_s(command) if timeout_s is None else timeout_s, context)
        except MailboxFull as error:
            MAILBOX_REJECTED.labels("full").inc()
            message = f"{error.capacity} commands wait for this session already. This one was not accepted."
            raise Refusal(Code.SESSION_BUSY, message) from None
        except AskTimeout as error:
            if not error.started:
                MAILBOX_REJECTED.labels("deadline").inc()
            raise out_of_time(error) from None
        except ActorStopped as error:
            if not error.started:
                MAILBOX_REJECTED.labels("ended").inc()
            raise await self._ended_under(ref, command, started=error.started) from None

    def deadline_s(self, command: Command) -> float:
        """How long a caller should wait at most, if it does not know better."""
        statement_s = self.limits.statement_timeout_ms / 1000
        match command:
            case Query(timeout_ms=ms) | Explain(timeout_ms=ms):
                return (ms / 1000 if ms else statement_s) + DEADLINE_MARGIN_S
            case Batch(timeout_ms=ms, operations=operations):
                whole_s = len(operations) * (ms / 1000 if ms else statement_s)
                return min(whole_s + DEADLINE_MARGIN_S, self.limits.max_lifetime_s)
            case _:
                return self.limits.commit_timeout_s + DEADLINE_MARGIN_S

    def list(self, principal: str | None = None) -> tuple[SessionInfo, ...]:
        """The sessions that are open, oldest first: all, or one principal's."""
        now = self.clock.now()
        return tuple(_info(ref, now) for ref in self._supervisor.list() if principal is None or ref.key == principal)

    def evict(self, short: str) -> bool:
        """End a session: softly, then by a kill. Returns whether there was exactly one of that short id."""
        found = [ref.id for ref in self._supervisor.list() if short_id(ref.id) == short]
        return len(found) == 1 and self._supervisor.evict(found[0])

    def client_gone(self, client: str) -> int:
        """End the sessions that a client opened and did not ask to keep. Returns how many."""
        self._gone[client] = None
        while len(self._gone) > MAX_GONE_CLIENTS:
            self._gone.popitem(last=False)
        found = [ref.id for ref in self._supervisor.list() if self._is_orphan(_snapshot(ref))]
        return sum(self._supervisor.evict(id, CLIENT_GONE) for id in found)  # noqa: A001 - the field's name

    async def drain(self, soft_timeout_s: float, hard_timeout_s: float) -> int:
        """Open no sessions any more and end all. Returns how many have not ended even after the hard timeout."""
        return len(await self._supervisor.drain(soft_timeout_s, hard_timeout_s))

    @property
    def open_count(self) -> int:
        """How many slots are taken."""
        return self._supervisor.count()

    # The reaper's view and hands.

    def facts(self) -> tuple[ActorFact, ...]:
        """What is known here of every session's connection."""
        return tuple(
            ActorFact(
                id=id,
                backend=(snapshot := actor.describe()).backend,
                asked=snapshot.target == self.target,
                ended=id in self._left_open,
                busy=actor.ref.busy,
                client_gone=self._is_orphan(snapshot),
                blocks=snapshot.blocks,
            )
            for id, actor in chain(self._actors.items(), self._left_open.items())  # noqa: A001 - the field's name
        )

    def carry_out(self, verdict: Verdict) -> None:
        """Do what the reaper found must be done on this side of the wire."""
        match verdict:
            case Verdict(kind=Kind.CONNECTION_LEFT_OPEN, id=str(id)) if id in self._left_open:
                self._left_open.pop(id).disconnect()
            case Verdict(kind=Kind.BACKEND_GONE, id=str(id)):
                self._supervisor.evict(id, CONNECTION_LOST)
            case Verdict(kind=Kind.CLIENT_GONE, id=str(id)):
                self._supervisor.evict(id, CLIENT_GONE)
            case Verdict(kind=Kind.BLOCKING, id=str(id)) if id in self._actors:
                self._actors[id].ref.signal(Blocking(verdict.blocks))
                if verdict.final and self.limits.end_blockers:
                    self._supervisor.evict(id)
            case _:
                """Ended meanwhile, or PostgreSQL's to end."""

    # Inner.

    async def _start(self, actor: SessionActor, id: str, principal: str) -> None:  # noqa: A002 - the field's name
        timeout_s = self.limits.begin_timeout_s
        idle_timeout_s = actor.options.idle_timeout_s
        try:
            await self._supervisor.start(actor, id, timeout_s=timeout_s, key=principal, idle_timeout_s=idle_timeout_s)
        except Draining:
            raise Refusal(Code.SHUTTING_DOWN, "The gateway is stopping and opens no sessions.") from None
        except TooManyActors as error:
            raise no_slot(error) from None
        except StartTimeout:
            raise unavailable(NOT_OPENED, f"no answer within {timeout_s:g} s") from None
        except ActorStopped:
            raise unavailable(NOT_OPENED, "the connection broke as soon as it was open") from None

    def _find(self, principal: str, session_id: str) -> ActorRef[Command, Reply]:
        found = self._supervisor.lookup(session_id)
        # Someone else's is answered like one that never was.
        if found is None or found.key != principal:
            message = "There is no session of this id. Nothing was run."
            if session_id in {info.short_id for info in self.list(principal)}:
                message = "This is the short id that lists show. A session takes only its whole `session_id`."
            raise Refusal(Code.SESSION_NOT_FOUND, message)
        if isinstance(found, Tombstone):
            raise ended(found.reason, found.detail, found.last_command, self.clock.now() - found.ended_at)
        return found

    async def _ended_under(self, ref: ActorRef[Command, Reply], command: Command, *, started: bool) -> Refusal:
        if started and isinstance(command, Commit):
            # The session is finding out what became of it, and that is what the caller wants to know.
            with suppress(TimeoutError):
                await ref.join(SessionActor.teardown_timeout_s)
        refusal = ended(str(ref.reason), ref.detail, ref.last_command, None)
        match ref.detail:
            case Ended(outcome=Outcome.COMMITTED):
                refusal.next = "Nothing is to be repeated: the transaction was committed."
            case Ended(outcome=Outcome.ROLLED_BACK):
                """The catalogue's advice is right."""
            case _ if started and isinstance(command, Commit):
                refusal.code = Code.COMMIT_UNKNOWN
                refusal.next = "Call pg_tx status on this session before you repeat anything: it tells what is known."
        fate = "This call had begun" if started else "This call did not run"
        refusal.message = f"{refusal.message} {fate}."
        return refusal

    def _is_orphan(self, snapshot: Snapshot) -> bool:
        return snapshot.client in self._gone and not snapshot.keep

    def _exited(self, ref: ActorRef[Command, Reply], tombstone: Tombstone) -> None:
        actor = self._actors.pop(ref.id)
        if actor.describe().connected:
            self._left_open[ref.id] = actor
        outcome = tombstone.detail.outcome if isinstance(tombstone.detail, Ended) else None
        lived_s = tombstone.ended_at - tombstone.started_at
        ENDED.labels(tombstone.reason).inc()
        AGE_SECONDS.observe(lived_s)
        told = {"principal": ref.key, "session": short_id(ref.id), "reason": tombstone.reason}
        self._audit.note("session_ended", None, **told, outcome=outcome, lived_s=round(lived_s, 3))
        level = _log.error if tombstone.reason == "crashed" else _log.info
        level(
            "session_ended",
            session=short_id(ref.id),
            reason=tombstone.reason,
            outcome=outcome,
            lived_s=round(lived_s, 3),
            exc_info=ref.error if tombstone.reason == "crashed" else None,
        )


def _snapshot(ref: ActorRef[Command, Reply]) -> Snapshot:
    snapshot = ref.describe()
    assert isinstance(snapshot, Snapshot)  # noqa: S101 - only sessions are started here
    return snapshot


def _info(ref: ActorRef[Command, Reply], now: float) -> SessionInfo:
    snapshot = _snapshot(ref)
    return SessionInfo(
        short_id=short_id(ref.id),
        principal=str(ref.key),
        label=snapshot.label,
        state="active" if ref.busy else words(snapshot.state),
        age_s=now - ref.started_at,
        idle_s=None if ref.idle_since is None else now - ref.idle_since,
        last_command=ref.last_command,
        backend_pid=None if snapshot.backend is None else snapshot.backend.pid,
        blocks=snapshot.blocks,
        queued=ref.queued,
    )
