"""What a caller is told when there is no session to ask, or no answer in time."""

from __future__ import annotations

from actors import AskTimeout, TooManyActors
from coldquery.errors import Code, Refusal
from coldquery.sessions.commands import Outcome
from coldquery.sessions.session import CLIENT_GONE, CONNECTION_LOST
from coldquery.sessions.transaction import Ended

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


def ended(reason: str, detail: object, last_command: str | None, ago_s: float | None) -> Refusal:
    """How a session ended, `ago_s` seconds ago, or is just ending (None)."""
    when = "is ending" if ago_s is None else f"ended {ago_s:.0f} s ago"
    words = [f"The session {when} ({reason}). {_STORIES[reason]}"]
    match detail:
        case Ended(outcome=Outcome.UNKNOWN, xid=xid) if xid is not None:
            words.append(f"Its transaction is {xid}.")
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
