"""The examination: connect as the gateway would, look at one thing after the other, and judge each."""

from __future__ import annotations

import time
from collections.abc import Awaitable
from contextlib import AsyncExitStack
from dataclasses import dataclass

from coldquery.database import Database, tag_of
from coldquery.doctor.capacity import Need, ask_room, judge_room
from coldquery.doctor.finding import Check, Finding, Verdict, fail, ok, skip, warn
from coldquery.doctor.line import ask_line, ask_pooling, is_pooled, judge_line, judge_pooling
from coldquery.doctor.roles import ask_can_become, ask_powers, ask_reach, judge_pair, judge_powers, judge_reach
from coldquery.doctor.server import (
    Place,
    ask_place,
    ask_skew,
    ask_statistics,
    ask_system,
    judge_place,
    judge_skew,
    judge_statistics,
    judge_version,
)
from coldquery.doctor.timeouts import ask_timeouts, judge_timeouts
from coldquery.doctor.tries import ask_tries, judge_tries
from coldquery.postgres.connection import Connection
from coldquery.postgres.outcome import DRIVER_ERRORS, connection_problem, wrong_setting
from coldquery.postgres.target import Target
from coldquery.sessions import SessionLimits
from coldquery.settings import Loaded, Settings
from coldquery.settings.uri import hidden

_AGAIN = "Mend what it says, and run this again."


@dataclass(frozen=True, slots=True)
class _Identity:
    """The database as one of the gateway's roles, and a connection as that. `name` is None where both are one."""

    name: str | None
    target: Target
    connection: Connection
    place: Place


async def examine(loaded: Loaded, database: Database) -> list[Check]:
    """Look at everything, in the order in which it is best read.

    Args:
        loaded: the settings and what is odd about them.
        database: the one that they name, or the embedded server.
    """
    settings = loaded.settings
    reader, writer = (each.bounded(settings) for each in database.targets(settings, tag_of("doctor")))
    checks = [Check("settings", None, _judge_settings(loaded.warnings))]
    async with AsyncExitStack() as stack:
        identities = []
        for name, target in [(None, reader)] if reader.dsn == writer.dsn else [("reader", reader), ("writer", writer)]:
            opened = await _open(name, target, stack)
            if isinstance(opened, Finding):
                checks.append(Check("connection", name, opened))
            else:
                identity, took_ms = opened
                identities.append(identity)
                place = identity.place
                checks.append(Check("connection", name, ok(f"{place.database} as {place.role}, in {took_ms:.0f} ms")))
        if any(each.finding.verdict is Verdict.FAIL for each in checks):
            return [*checks, Check("the rest", None, skip("not looked at without a connection"))]
        return checks + await _Examination(settings, database, identities).run()


class _Examination:
    """What is looked at once there are connections. Each of its methods looks at one thing."""

    def __init__(self, settings: Settings, database: Database, identities: list[_Identity]) -> None:
        self._settings = settings
        self._database = database
        self._identities = identities
        self._reader, self._writer = identities[0], identities[-1]

    async def run(self) -> list[Check]:
        first = (("version", self._version), ("database", self._place))
        checks = [Check(name, None, await _judged(look())) for name, look in first]
        for name, look_as in (("pooler", self._pooler), ("TLS", self._tls), ("role", self._role)):
            checks += [Check(name, each.name, await _judged(look_as(each))) for each in self._identities]
        then = (
            ("roles apart", self._pair),
            ("reader's grants", self._reach),
            ("reads can't write", self._tries),
            ("connections", self._room),
            ("timeouts", self._timeouts),
            ("pg_stat_statements", self._statistics),
            ("clock", self._clock),
        )
        return checks + [Check(name, None, await _judged(look())) for name, look in then]

    async def _version(self) -> Finding:
        return judge_version(self._writer.place)

    async def _place(self) -> Finding:
        places = [(each.place, await ask_system(each.connection)) for each in self._identities]
        return judge_place(places[0], places[-1], self._database.place)

    async def _pooler(self, identity: _Identity) -> Finding:
        return judge_pooling(await ask_pooling(identity.target, identity.connection))

    async def _tls(self, identity: _Identity) -> Finding:
        return judge_line(await ask_line(identity.connection), pooled=is_pooled(identity.connection))

    async def _role(self, identity: _Identity) -> Finding:
        return judge_powers(await ask_powers(identity.connection))

    async def _pair(self) -> Finding:
        reader, writer = self._reader.place.role, self._writer.place.role
        return judge_pair(reader, writer, can_become=await ask_can_become(self._reader.connection, writer))

    async def _reach(self) -> Finding:
        if self._reader is self._writer:
            return skip("the same role writes")
        connection = self._reader.connection
        return judge_reach(await ask_powers(connection), await ask_reach(connection))

    async def _tries(self) -> Finding:
        return judge_tries(await ask_tries(self._reader.target, self._settings))

    async def _room(self) -> Finding:
        reader, writer = await ask_room(self._reader.connection), await ask_room(self._writer.connection)
        return judge_room(Need.of(self._settings), reader, writer)

    async def _timeouts(self) -> Finding:
        limits = SessionLimits.of(self._settings)
        pooled = tuple(each.connection for each in self._identities)
        return judge_timeouts(self._settings, await ask_timeouts(limits, self._writer.target, pooled))

    async def _statistics(self) -> Finding:
        return judge_statistics(await ask_statistics(self._reader.connection))

    async def _clock(self) -> Finding:
        return judge_skew(await ask_skew(self._writer.connection))


async def _open(name: str | None, target: Target, stack: AsyncExitStack) -> tuple[_Identity, float] | Finding:
    """Connect as the gateway does. Returns also how many milliseconds that took; or why it can't be done."""
    began = time.perf_counter()
    try:
        connection = await target.connect()
        took_ms = (time.perf_counter() - began) * 1000
        stack.callback(connection.terminate)
        return _Identity(name, target, connection, await ask_place(connection)), took_ms
    except DRIVER_ERRORS as error:
        remedy = (
            wrong_setting(error)
            or "Start PostgreSQL, or correct host and port in the DSN; a firewall may stand between."
        )
        return fail(f"{hidden(target.dsn)}: {connection_problem(error)}", remedy)


async def _judged(look: Awaitable[Finding]) -> Finding:
    try:
        return await look
    except DRIVER_ERRORS as error:
        return warn(f"PostgreSQL did not tell: {connection_problem(error)}", _AGAIN)


def _judge_settings(warnings: tuple[str, ...]) -> Finding:
    if not warnings:
        return ok("nothing odd")
    return warn(" ".join(warnings), "`coldquery settings` shows what is in force, and where it comes from.")
