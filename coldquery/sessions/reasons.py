"""Why a session ends: a closed set."""

from __future__ import annotations

from actors import ExitReason
from coldquery.sessions.replies import Outcome

CONNECTION_LOST = "connection_lost"
CLIENT_GONE = "client_gone"
REASON_OF = {
    Outcome.COMMITTED: "committed",
    Outcome.ROLLED_BACK: "rolled_back",
    Outcome.UNKNOWN: "commit_unknown",
}
REASONS = frozenset({*ExitReason, *REASON_OF.values(), CONNECTION_LOST, CLIENT_GONE})

# A stop for one of these does not wait for the statement that runs.
INTERRUPTING = {ExitReason.MAX_LIFETIME, ExitReason.EVICTED, ExitReason.KILLED, CLIENT_GONE}
