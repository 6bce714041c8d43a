"""What doctor makes of what PostgreSQL answered: each verdict, its figure, and its next step."""

from __future__ import annotations

from dataclasses import replace

import pytest

from coldquery.doctor.capacity import Need, Room, judge_room
from coldquery.doctor.finding import Check, Finding, Verdict, exit_code, ok, skip, warn
from coldquery.doctor.finding import fail as failed
from coldquery.doctor.line import Line, Pooling, judge_line, judge_pooling
from coldquery.doctor.roles import DANGERS, Powers, Reach, judge_pair, judge_powers, judge_reach
from coldquery.doctor.server import (
    Place,
    Skew,
    Statistics,
    judge_place,
    judge_skew,
    judge_statistics,
    judge_version,
)
from coldquery.doctor.timeouts import Timeouts, judge_timeouts
from coldquery.doctor.tries import TRIES, Tried, judge_tries
from coldquery.sessions import SessionLimits
from coldquery.settings import Settings

PLACE = Place("shop", "agent", "18.6", 18)
SETTINGS = Settings()
ROOM = Room("agent", in_all=100, reserved=3, others=10)
NEED = Need.of(SETTINGS)
LIMITS = SessionLimits.of(SETTINGS)
WANTED = {name: int(value.removesuffix("ms")) for name, value in LIMITS.backstops(LIMITS.idle_timeout_s).items()}
TIMEOUTS = Timeouts(
    WANTED,
    {**WANTED, "client_connection_check_interval": 2000},
    ({"transaction_timeout": 0, "idle_session_timeout": 0},),
)


def told(finding: Finding, verdict: Verdict, *words: str) -> None:
    """The finding has the verdict and the words, and a next step exactly where one is needed."""
    assert finding.verdict is verdict, finding
    assert (finding.next is not None) == (verdict in {Verdict.WARN, Verdict.FAIL})
    for each in words:
        assert each in f"{finding.found} {finding.next}"


@pytest.mark.parametrize(
    ("findings", "code"),
    [
        ([ok("")], 0),
        ([ok(""), skip("")], 0),
        ([ok(""), warn("", "")], 1),
        ([failed("", ""), warn("", ""), ok("")], 2),
    ],
)
def test_the_worst_verdict_makes_the_exit_code(findings: list[Finding], code: int) -> None:
    assert exit_code(Check("", None, each) for each in findings) == code


@pytest.mark.parametrize(
    ("major", "verdict"),
    [(13, Verdict.FAIL), (14, Verdict.WARN), (15, Verdict.OK), (18, Verdict.OK), (19, Verdict.WARN)],
)
def test_the_version_is_measured_by_what_the_gateway_is_tested_with(major: int, verdict: Verdict) -> None:
    told(judge_version(replace(PLACE, version=f"{major}.1", major=major)), verdict, f"PostgreSQL {major}.1")


@pytest.mark.parametrize(
    ("reader", "writer", "verdict", "words"),
    [
        ((PLACE, "1"), (PLACE, "1"), Verdict.OK, "shop"),
        ((replace(PLACE, standby=True), "1"), (PLACE, "1"), Verdict.OK, "reads go to a standby"),
        ((PLACE, "1"), (PLACE, "2"), Verdict.FAIL, "on another server"),
        ((replace(PLACE, database="other"), "1"), (PLACE, "1"), Verdict.FAIL, "reads look in other"),
        ((PLACE, "1"), (replace(PLACE, standby=True), "1"), Verdict.WARN, "primary"),
        ((PLACE, "1"), (replace(PLACE, read_only=True), "1"), Verdict.WARN, "RESET default_transaction_read_only"),
    ],
)
def test_reads_and_writes_must_meet_in_one_database_that_can_be_written(
    reader: tuple[Place, str], writer: tuple[Place, str], verdict: Verdict, words: str
) -> None:
    told(judge_place(reader, writer), verdict, words)


def test_an_embedded_server_is_told_with_the_place_of_its_data() -> None:
    told(judge_place((PLACE, "1"), (PLACE, "1"), "data in /d"), Verdict.OK, "shop (data in /d)")


@pytest.mark.parametrize(
    ("statistics", "verdict", "words"),
    [
        (Statistics(installed=True, loaded=True, sees_all=True), Verdict.OK, "installed"),
        (Statistics(installed=True, loaded=True, sees_all=False), Verdict.OK, "its own statements only"),
        (Statistics(installed=False, loaded=True, sees_all=True), Verdict.WARN, "CREATE EXTENSION"),
        (Statistics(installed=True, loaded=False, sees_all=True), Verdict.WARN, "shared_preload_libraries"),
        (Statistics(installed=False, loaded=False, sees_all=True), Verdict.WARN, "then CREATE EXTENSION"),
    ],
)
def test_pg_stat_statements_needs_its_library_and_its_extension(
    statistics: Statistics, verdict: Verdict, words: str
) -> None:
    told(judge_statistics(statistics), verdict, words)


@pytest.mark.parametrize(
    ("skew", "verdict", "words"),
    [
        (Skew(0.0004, 0.0002), Verdict.OK, "0.4 ms ahead of ours (± 0.2 ms)"),
        (Skew(-1.4, 0.5), Verdict.OK, "1.4 s behind ours"),
        (Skew(1.6, 0.5), Verdict.WARN, "1.6 s ahead"),
        (Skew(-7200.0, 0.1), Verdict.WARN, "7200.0 s behind"),
    ],
)
def test_a_clock_is_wrong_if_it_is_so_for_certain(skew: Skew, verdict: Verdict, words: str) -> None:
    told(judge_skew(skew), verdict, words)


@pytest.mark.parametrize("pooled", [False, True])
@pytest.mark.parametrize(
    ("line", "verdict", "words"),
    [
        (Line(local=False, protocol="TLSv1.3", cipher="TLS_AES_256_GCM_SHA384"), Verdict.OK, "TLSv1.3, TLS_AES"),
        (Line(local=True), Verdict.OK, "does not leave the machine"),
        (Line(local=False), Verdict.WARN, "sslmode=verify-full"),
    ],
)
def test_without_tls_nothing_may_leave_the_machine(line: Line, verdict: Verdict, words: str, pooled: bool) -> None:
    finding = judge_line(line, pooled=pooled)
    told(finding, verdict, words)
    assert ("the pooler's line" in finding.found) == pooled


@pytest.mark.parametrize(
    ("pooling", "verdict"),
    [
        (Pooling.NONE, Verdict.OK),
        (Pooling.SESSION, Verdict.OK),
        (Pooling.TRANSACTION, Verdict.FAIL),
        (Pooling.STATEMENT, Verdict.FAIL),
    ],
)
def test_sessions_need_session_pooling(pooling: Pooling, verdict: Verdict) -> None:
    told(judge_pooling(pooling), verdict, *(["pool_mode = session"] if verdict is Verdict.FAIL else []))


@pytest.mark.parametrize(
    ("powers", "verdict", "words"),
    [
        (Powers("agent", superuser=False), Verdict.OK, "nothing beyond its grants"),
        (Powers("agent", superuser=True), Verdict.WARN, "is a superuser"),
        *((Powers("agent", superuser=False, held=(name,)), Verdict.WARN, name) for name in DANGERS),
    ],
)
def test_a_role_with_powers_beyond_its_grants_is_warned_of(powers: Powers, verdict: Verdict, words: str) -> None:
    told(judge_powers(powers), verdict, words)


@pytest.mark.parametrize(
    ("reach", "verdict", "words"),
    [
        (Reach(), Verdict.OK, "can write nothing"),
        (Reach(tables=1, examples=("a.b",)), Verdict.WARN, "1 table (a.b)"),
        (Reach(tables=9, examples=("a.b", "a.c", "a.d")), Verdict.WARN, "9 tables (a.b, a.c, a.d, …)"),
        (Reach(sequences=2), Verdict.WARN, "2 sequences"),
        (Reach(schemas=("public",)), Verdict.WARN, "new tables in public"),
        (Reach(new_schemas=True), Verdict.WARN, "new schemas"),
        (Reach(temporary=True, large_objects=True), Verdict.WARN, "temporary tables, large objects"),
    ],
)
def test_a_reader_that_could_write_is_warned_of_with_what(reach: Reach, verdict: Verdict, words: str) -> None:
    told(judge_reach(Powers("agent", superuser=False), reach), verdict, words)


def test_the_grants_of_a_superuser_are_not_looked_at() -> None:
    told(judge_reach(Powers("agent", superuser=True), Reach(tables=9)), Verdict.SKIP)


@pytest.mark.parametrize(
    ("reader", "can_become", "verdict", "words"),
    [
        ("reader", False, Verdict.OK, "reader reads, writer writes"),
        ("writer", True, Verdict.WARN, "writer reads and writes"),
        ("reader", True, Verdict.WARN, "reader can become writer"),
    ],
)
def test_reads_and_writes_should_be_roles_apart(reader: str, can_become: bool, verdict: Verdict, words: str) -> None:
    told(judge_pair(reader, "writer", can_become=can_become), verdict, words)


REFUSED = [Tried(each, min(each.refusals)) for each in TRIES]
OPENS = next(each for each in TRIES if each.only_opens)


def tried(words: str, refusal: str) -> list[Tried]:
    return [replace(each, refusal=refusal) if each.what.words == words else each for each in REFUSED]


@pytest.mark.parametrize("what", [each.words for each in TRIES if not each.only_opens])
def test_a_read_that_could_write_is_the_worst_that_can_be(what: str) -> None:
    told(judge_tries(tried(what, "")), Verdict.FAIL, "A READ COULD WRITE", what)


@pytest.mark.parametrize(
    ("outcome", "verdict", "words"),
    [
        (REFUSED, Verdict.OK, f"refused all {len(TRIES)}"),
        (tried(OPENS.words, ""), Verdict.WARN, "rolled back"),
        (tried(TRIES[0].words, "57014"), Verdict.WARN, "1 of 5 tries could not be made: 57014"),
        ([replace(each, refusal="away") for each in REFUSED], Verdict.WARN, "5 of 5 tries could not be made: away"),
    ],
)
def test_a_try_must_be_refused_for_the_right_reason(outcome: list[Tried], verdict: Verdict, words: str) -> None:
    told(judge_tries(outcome), verdict, words)


def test_the_need_for_connections_is_the_sum_of_what_the_settings_allow() -> None:
    need = Need.of(Settings(read_pool_size=3, write_pool_size=4, max_sessions=20, spare_connections=2))
    assert (need.reader, need.writer, need.total) == (3 + 1, 4 + 20 + 2 + 1, 31)


@pytest.mark.parametrize(
    ("reader", "writer", "verdict", "words"),
    [
        (ROOM, ROOM, Verdict.OK, "28; 87 of 100 are free (3 reserved, 10 in use by others)"),
        (ROOM, replace(ROOM, others=69), Verdict.OK, "28 of 100"),
        (ROOM, replace(ROOM, others=70), Verdict.WARN, "max_connections leaves 27"),
        (ROOM, replace(ROOM, of_database=27), Verdict.WARN, "the database takes 27"),
        (ROOM, replace(ROOM, of_role=27), Verdict.WARN, "agent may have 27 of the 28"),
        (replace(ROOM, role="reader", of_role=11), replace(ROOM, of_role=17), Verdict.OK, "28"),
        (replace(ROOM, role="reader", of_role=10), ROOM, Verdict.WARN, "reader may have 10 of the 11"),
        (replace(ROOM, role="reader"), replace(ROOM, of_role=16), Verdict.WARN, "agent may have 16 of the 17"),
    ],
)
def test_connections_are_short_where_any_limit_is_smaller_than_the_need(
    reader: Room, writer: Room, verdict: Verdict, words: str
) -> None:
    told(judge_room(NEED, reader, writer), verdict, words)


def with_session(**changed: int) -> Timeouts:
    return replace(TIMEOUTS, session={**TIMEOUTS.session, **changed})


def with_pooled(**changed: int) -> Timeouts:
    return replace(TIMEOUTS, pooled=(changed,))


def without(name: str) -> Timeouts:
    return replace(TIMEOUTS, session={each: ms for each, ms in TIMEOUTS.session.items() if each != name})


@pytest.mark.parametrize(
    ("timeouts", "verdict", "words"),
    [
        (TIMEOUTS, Verdict.OK, "statement 30 s, lock 5 s, idle session 30 min < 31 min, lifetime 4 h < 4 h 1 min"),
        (without("transaction_timeout"), Verdict.OK, "lifetime not before PostgreSQL 17"),
        (replace(TIMEOUTS, standing=("lock_timeout=1s",)), Verdict.OK, "overridden: lock_timeout=1s"),
        (with_session(statement_timeout=1500), Verdict.WARN, "statement_timeout is 1500 ms where"),
        (with_session(idle_in_transaction_session_timeout=0), Verdict.WARN, "is off where the gateway has set 31 min"),
        (with_session(client_connection_check_interval=0), Verdict.WARN, "killed gateway"),
        (without("client_connection_check_interval"), Verdict.WARN, "killed gateway"),
        (with_pooled(transaction_timeout=10_000), Verdict.WARN, "transaction_timeout ends reads after 10 s"),
        (with_pooled(transaction_timeout=30_000), Verdict.OK, "statement"),
        (with_pooled(idle_session_timeout=60_000), Verdict.WARN, "idle_session_timeout closes"),
    ],
)
def test_time_limits_must_be_in_force_and_in_order(timeouts: Timeouts, verdict: Verdict, words: str) -> None:
    told(judge_timeouts(SETTINGS, timeouts), verdict, words)
