"""What is asked of each subject, how its answer is checked, and at what load."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import cycle, islice
from typing import Any, Protocol

from ops.bench.data import SCHEMA, TEXT_LENGTH, TEXTS, Data
from ops.bench.harness import Server
from ops.bench.lanes import BenchError, Lane, Script
from ops.bench.replies import check, text
from ops.bench.subjects import Subject
from ops.bench.wire import Client, answer

CONCURRENCIES = (1, 16, 64)
HELD = (0, 10, 100, 200)


@dataclass(frozen=True)
class Load:
    """So many callers at a time, while so many sessions are held open."""

    callers: int
    held: int = 0


@dataclass
class Player:
    """A subject that runs. `sizes`: how many bytes the checked answer to each work had."""

    subject: Subject
    server: Server
    client: Client
    sizes: dict[str, int] = field(default_factory=dict)

    def call(self, lane: Lane, tool: str, arguments: dict[str, Any]) -> bytes:
        return self.client.encode(lane.number, "tools/call", {"name": tool, "arguments": arguments})


class Work(Protocol):
    """A unit of work: one script. `calls`: how many calls it makes."""

    @property
    def name(self) -> str: ...
    @property
    def what(self) -> str: ...
    @property
    def calls(self) -> int: ...
    @property
    def loads(self) -> Sequence[Load]: ...

    def refuses(self, subject: Subject) -> str | None:
        """Why the subject can't do it."""

    async def check(self, player: Player, data: Data) -> None:
        """Do it once and see that the answer is right.

        Raises:
            BenchError: it is not.
        """

    def scripts(self, player: Player, data: Data) -> Callable[[Lane], Callable[[], Script]]: ...


@dataclass(frozen=True)
class Read:
    """A query, with one parameter or none; `expected` is what the text of the answer must hold, in this order."""

    name: str
    what: str
    sql: str
    expected: Callable[[Data, Sequence[int]], Sequence[str]]
    params: Sequence[Sequence[int]] = ((),)
    loads: Sequence[Load] = tuple(map(Load, CONCURRENCIES))
    constant: bool = False
    sessions: bool = False
    calls: int = 1

    def refuses(self, subject: Subject) -> str | None:
        if self.sessions and not subject.transactions:
            return "holds no session"
        return "returns a constant" if subject.constant and not self.constant else None

    async def check(self, player: Player, data: Data) -> None:
        (lane,) = await player.client.lanes(1)
        size = 0
        for params in self.params[:3]:
            tool, arguments = player.subject.read(self.sql, params)
            body = await answer(lane, player.call(lane, tool, arguments))
            check(body)
            said, at, size = text(body), 0, len(body)
            expected = ["[[1]]"] if player.subject.constant else self.expected(data, params)
            for each in expected:
                if (at := said.find(each, at)) < 0:
                    raise BenchError(f"{self.name}: {each[:100]!r} is not in the answer, {said[:500]!r}")
                at += len(each)
            if not expected and not re.search(r"(?<!\d)1(?!\d)", said):
                raise BenchError(f"{self.name}: there is no 1 in the answer, {said[:500]!r}")

        player.sizes[self.name] = size

    def scripts(self, player: Player, data: Data) -> Callable[[Lane], Callable[[], Script]]:
        size = player.sizes[self.name]
        least, most = size * 0.9 - 64, size * 1.1 + 64

        def of(lane: Lane) -> Callable[[], Script]:
            pairs = []
            for params in self.params:
                request = player.call(lane, *player.subject.read(self.sql, params))
                telling = len(self.params) > 1 and not player.subject.constant
                pairs.append((request, self.expected(data, params)[0].encode() if telling else b""))
            # Each caller begins with another one.
            turns = islice(cycle(pairs), lane.number % len(pairs), None)

            def script() -> Script:
                request, mark = next(turns)
                body = yield request
                check(body)
                if mark not in body or not least <= len(body) <= most:
                    raise BenchError(f"{self.name}: not the answer to this: {body[:500]!r}")

            return script

        return of


_KEYS = [[1 + number * 997] for number in range(100)]
_COLUMNS = "aid, branch, balance, opened, updated, active, filler"
_BY_KEY = f"SELECT {_COLUMNS} FROM {SCHEMA}.accounts WHERE aid = $1"
_ROWS = f"SELECT {_COLUMNS} FROM {SCHEMA}.accounts WHERE aid <= 1000 ORDER BY aid"


def _filler(number: int) -> str:
    return f"account {number:06} of the benchmark"


def _one(_: Data, params: Sequence[int]) -> Sequence[str]:
    return [_filler(each) for each in params]


def _thousand(*_: object) -> Sequence[str]:
    return [_filler(number) for number in range(1, 1001)]


READS = (
    Read("select-1", "SELECT 1", "SELECT 1", lambda *_: (), constant=True),
    Read("by-key", "one row of 7 columns by its primary key, a parameter", _BY_KEY, _one, _KEYS, constant=True),
    Read("rows-1000", "1,000 rows of 7 columns", _ROWS, _thousand),
    Read(
        "text-100k",
        f"{TEXTS} texts of {TEXT_LENGTH:,} characters",
        f"SELECT body FROM {SCHEMA}.texts ORDER BY n",
        lambda data, _: data.texts,
    ),
    Read(
        "held",
        "by-key, while sessions are held open",
        _BY_KEY,
        _one,
        _KEYS,
        [Load(16, held) for held in HELD],
        sessions=True,
    ),
)
