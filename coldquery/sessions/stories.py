"""What a caller is told: of a session that has ended, of calls that nobody waited for, and what to do next."""

from __future__ import annotations

from actors import Abandoned, AskTimeout, TooManyActors
from coldquery.errors import Code, Refusal, cut
from coldquery.sessions.commands import Command, Commit, Rollback
from coldquery.sessions.reasons import CLIENT_GONE, CONNECTION_LOST
from coldquery.sessions.replies import Outcome, Ran, Reply
from coldquery.sessions.transaction import Ended, Failed, Open, State, way_back

_STORIES = {
    "committed": "It was committed.",
    "rolled_back": "It was rolled back.",
    "commit_unknown": "Its connection broke during COMMIT, and whether that took effect could not be found out.",
    "idle_timeout": "Nobody had called it for as long as it may stand idle.",
    "max_lifetime": "It had reached its maximum lifetime.",
    CONNECTION_LOST: "Its connection to PostgreSQL broke.",
    CLIENT_GONE: "The client that had opened it went away.",
    "evicted": "An administrator ended it.",
    "drained": "The gateway was shutting down.",
    "killed": "It did not end in time and was killed.",
    "crashed": "A defect of the gateway ended it.",
}

# So few seconds are worth a warning.
_SHORT_S = 60
# So much of an error is told to somebody who did not ask for it.
MAX_TOLD_LENGTH = 300


def ended(reason: str, detail: object, last_command: str | None, ago_s: float | None) -> Refusal:
    """How a session ended, `ago_s` seconds ago, or is just ending (None)."""
    when = "is ending" if ago_s is None else f"ended {ago_s:.0f} s ago"
    words = [f"The session {when} ({reason}). {_STORIES[reason]}"]
    match detail:
        case Ended(outcome=Outcome.UNKNOWN, xid=xid) if xid is not None:
            words.append(f"Whether its transaction, {xid}, was committed is not known.")
        case Ended(outcome=Outcome.ROLLED_BACK) if reason != "rolled_back":
            words.append("Its transaction was rolled back.")
    if last_command is not None:
        words.append(f"The last command was {last_command}.")
    return Refusal(Code.SESSION_ENDED, " ".join(words))


def no_slot(error: TooManyActors) -> Refusal:
    """As many sessions are open as may be."""
    whose = "are open" if error.key is None else "of yours are open"
    wait_s = error.next_expiry_s
    when = "" if wait_s is None else f" The next can expire in {wait_s:.0f} s."
    return Refusal(
        Code.SESSION_LIMIT, f"{error.limit} sessions {whose}, which is the limit.{when}", retry_after_s=wait_s
    )


def out_of_time(error: AskTimeout) -> Refusal:
    """The deadline of a call has passed."""
    if error.started:
        fate = "It had begun, and is being cancelled; a commit, rollback or savepoint goes on to its end instead."
        step = "Call pg_tx status on this session: its answer tells what became of the call."
    else:
        fate = "It had not begun, and never runs."
        step = None
    refusal = Refusal(Code.DEADLINE_EXCEEDED, f"No answer within {error.timeout_s:g} s. {fate}", next=step)
    refusal.retryable = not error.started
    return refusal


def advise(error: Refusal, before: State, now: State) -> None:
    """Give a refusal the transaction's next step, where the statement's own is not enough."""
    again = "begin again with pg_tx begin and repeat the whole transaction."
    match now:
        case Ended() if error.code not in {Code.COMMIT_UNKNOWN, Code.SESSION_ENDED}:
            error.next = f"Nothing was kept: {again}"
        case Open() | Failed() if error.code in {Code.SERIALIZATION_FAILURE, Code.DEADLOCK}:
            error.next = f"Roll back with pg_tx rollback, then {again}"
        case Failed(savepoints=savepoints) if before != now:
            error.next = way_back(savepoints)
        case Open() if error.cause.sqlstate is not None:
            error.next = f"{error.next} The transaction is as it was before this call."
        case _:
            """The refusal's own advice is the best there is."""


def warning(blocks: tuple[int, ...], left_s: float, idle_timeout_s: float) -> str | None:
    """What the owner of a session should mind, in one line."""
    if blocks:
        pids = ", ".join(map(str, blocks))
        return f"Others wait for locks that this transaction holds (backends {pids}): commit or roll back soon."
    if left_s < _SHORT_S:
        return f"This session ends in {left_s:.0f} s, whatever is called: commit or roll back now."
    if idle_timeout_s < _SHORT_S:
        return f"This session ends when {idle_timeout_s:g} s pass without a call."
    return None


def note(command: Commit | Rollback, end: Ended) -> str | None:
    """What is worth knowing of a transaction's end beside its outcome."""
    if end.lost:
        asked = "PostgreSQL was asked on another" if end.xid else "There was nothing to commit"
        return f"The connection broke during COMMIT. {asked}."
    if command.kind == "commit" and end.outcome is Outcome.ROLLED_BACK:
        return "Nothing was kept: a statement had failed, and PostgreSQL rolls such a transaction back at COMMIT."
    return None


def tell(abandoned: Abandoned[Command, Reply]) -> str:
    """What a command did whose answer nobody heard."""
    what = f"An earlier {abandoned.command.kind.replace('_', ' ')}, whose caller had left,"
    match abandoned:
        case Abandoned(error=Refusal() as error):
            return f"{what} failed: {cut(error.message, MAX_TOLD_LENGTH)}"
        case Abandoned(reply=Ran(result=result)):
            return f"{what} ran: {result.command or 'SELECT'}, {result.row_count} rows."
        case _:
            return f"{what} ran."


def retell(abandoned: Abandoned[Command, Reply]) -> list[str]:
    """What an answer that nobody heard was to tell of those before it."""
    match abandoned:
        case Abandoned(error=Refusal(session={"abandoned": str(told)})):
            return [told]
        case Abandoned(reply=reply) if reply is not None and reply.echo.abandoned is not None:
            return [reply.echo.abandoned]
    return []
