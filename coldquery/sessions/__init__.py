"""Sessions: transactions held open across calls, each by an actor that alone owns a connection."""

from coldquery.sessions.commands import Begin
from coldquery.sessions.limits import SessionLimits, short_id
from coldquery.sessions.root import SessionInfo, SessionRoot

__all__ = ["Begin", "SessionInfo", "SessionLimits", "SessionRoot", "short_id"]
