"""Work in transactions that are held open over calls, which only the gateway can do; and sessions held open."""

import re
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import count

from ops.bench.data import ACCOUNTS, SCHEMA, Data
from ops.bench.lanes import BenchError, Lane, Script, gather
from ops.bench.replies import check
from ops.bench.subjects import Subject
from ops.bench.work import CONCURRENCIES, Load, Player

# In the text of an answer, which is JSON in JSON, or in an object beside it.
_SESSION = re.compile(rb'session_id\\?": ?\\?"([^"\\]+)')
_COMMITTED = re.compile(rb'outcome\\?": ?\\?"committed')
_INSERT = f"INSERT INTO {SCHEMA}.history (aid, delta) VALUES ($1, $2)"
_UPDATE = f"UPDATE {SCHEMA}.accounts SET balance = balance + 1 WHERE aid = $1"


@dataclass(frozen=True)
class Transaction:
    """Begin, so many statements, and the end."""

    name: str
    what: str
    statements: int
    end: str
    loads: Sequence[Load] = tuple(map(Load, CONCURRENCIES))

    @property
    def calls(self) -> int:
        return self.statements + 2

    def refuses(self, subject: Subject) -> str | None:
        return None if subject.transactions else "holds no transaction open over calls"

    async def check(self, player: Player, data: Data) -> None:
        await gather(await player.client.lanes(1), self.scripts(player, data), 0)
        await data.verify()
        player.sizes[self.name] = 0  # small

    def scripts(self, player: Player, data: Data) -> Callable[[Lane], Callable[[], Script]]:
        def of(lane: Lane) -> Callable[[], Script]:
            # Each caller has rows of its own, so that none waits for another's.
            begin = player.call(lane, "pg_tx", {"action": "begin"})
            numbers = count()

            def script() -> Script:
                session = session_of((yield begin))
                for _ in range(self.statements):
                    yield from self._statement(player, lane, session, next(numbers))
                body = yield player.call(lane, "pg_tx", {"action": self.end, "session_id": session})
                check(body)
                if self.end == "commit":
                    if not _COMMITTED.search(body):
                        raise BenchError(f"{self.name}: it was not committed: {body[:500]!r}")
                    data.commits += 1

            return script

        return of

    def _statement(self, player: Player, lane: Lane, session: str, number: int) -> Script:
        aid = 1 + (lane.number * 1000 + number % 1000) % ACCOUNTS
        if self.end == "commit":
            sql, params = _INSERT, [aid, "1.25"]
        else:
            sql, params = _UPDATE, [aid]
        wanted = {"action": "write", "sql": sql, "params": params, "session_id": session}
        check((yield player.call(lane, "pg_query", wanted)))


TRANSACTIONS = (
    Transaction("commit", "begin, insert, commit: 3 calls", 1, "commit"),
    Transaction("rollback", "begin, 10 updates, rollback: 12 calls", 10, "rollback"),
)


def session_of(body: bytes) -> str:
    check(body)
    found = _SESSION.search(body)
    if found is None:
        raise BenchError(f"begin told no session: {body[:500]!r}")
    return found[1].decode()


@asynccontextmanager
async def holding(player: Player, sessions: int) -> AsyncIterator[None]:
    """So many sessions are open, with a transaction in which one statement has run."""
    held: list[str] = []

    def begin(lane: Lane) -> Callable[[], Script]:
        def script() -> Script:
            session = session_of((yield player.call(lane, "pg_tx", {"action": "begin"})))
            held.append(session)
            wanted = {"action": "read", "sql": "SELECT 1", "session_id": session}
            check((yield player.call(lane, "pg_query", wanted)))

        return script

    def end(lane: Lane) -> Callable[[], Script]:
        def script() -> Script:
            check((yield player.call(lane, "pg_tx", {"action": "rollback", "session_id": held.pop()})))

        return script

    for _ in range(sessions):
        await gather(await player.client.lanes(1), begin, 0)
    yield
    # All of them are still there, or this fails.
    while held:
        await gather(await player.client.lanes(1), end, 0)
