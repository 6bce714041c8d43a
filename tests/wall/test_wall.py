"""The wall: whatever a read says, it changes nothing, disturbs nobody, and leaves nothing behind."""

from __future__ import annotations

import time

import pytest

from coldquery.postgres.wire import Wire
from tests.wall.attacker import Attacker, verdict
from tests.wall.entries import BY_NAME, RUNS, Harmless, Hostile
from tests.wall.harmless import HARMLESS_READS
from tests.wall.hostile import HOSTILE

# What takes longer is hardly ever sent in one trip.
_SELDOM_BRIEF_S = 0.3


@pytest.mark.parametrize("entry", HOSTILE, ids=lambda entry: entry.id)
async def test_a_hostile_read_harms_nothing(attacker: Attacker, entry: Hostile) -> None:
    attack = entry.attack
    _require_version(attacker, attack.since)
    # What runs is repeated: one that was brief is sent, rolled back and cleaned up after in one trip from then on.
    for times in (1, 2):
        began = time.perf_counter()
        for _ in range(times):
            answer, refusal = await verdict(attacker.read(attack.sql, attack.params, attack.timeout_ms))
            assert answer in entry.expected, f"answered {answer}: {refusal}"
            assert refusal is None or attack.next in refusal.next
        await attacker.require_untouched()
        if answer != RUNS or time.perf_counter() - began > _SELDOM_BRIEF_S:
            break


# What is refused by name in a read is refused by the same words in a session, so that one in five of those will do.
_SELDOM = {
    *("copy", "files", "large objects", "maintenance", "other backends", "oversized", "server", "settings"),
    *("SQL in strings", "transaction control"),
}
# What a function leaves on its connection stays with the session, whose connection it is, until its end.
_STAYS_IN_A_SESSION = {
    f"left behind/{each}"
    for each in (
        *("prepared-statement", "the-driver's-next-prepared-statements", "no-prepared-statements"),
        *("advisory-lock", "advisory-lock,-caught"),
    )
}
_IN_SESSIONS = [
    each
    for number, each in enumerate(HOSTILE)
    if not each.attack.slow and each.id not in _STAYS_IN_A_SESSION and (each.family not in _SELDOM or number % 5 == 0)
]


@pytest.mark.parametrize("entry", _IN_SESSIONS, ids=lambda entry: entry.id)
async def test_a_hostile_read_in_a_session_harms_neither_it_nor_anything_else(
    attacker: Attacker, entry: Hostile
) -> None:
    attack = entry.attack
    _require_version(attacker, attack.since)
    answer, refusal = await verdict(attacker.read_in_session(attack.sql, attack.params, attack.timeout_ms))
    await attacker.require_same_session()
    assert answer in entry.expected, f"answered {answer}: {refusal}"


# What only its name refuses, and EXPLAIN would run with `analyze`; one in three will do.
_EXPLAINED = [
    each
    for each in HOSTILE
    if each.expected == BY_NAME
    and each.family != "row locks"
    and each.attack.sql.upper().startswith(("SELECT", "WITH"))
][::3]


@pytest.mark.parametrize("entry", _EXPLAINED, ids=lambda entry: entry.id)
async def test_a_hostile_statement_that_is_explained_harms_nothing(attacker: Attacker, entry: Hostile) -> None:
    attack = entry.attack
    _require_version(attacker, attack.since)
    answer, refusal = await verdict(attacker.explain(attack.sql, attack.params, attack.timeout_ms))
    await attacker.require_untouched()
    assert answer in BY_NAME, f"answered {answer}: {refusal}"


@pytest.mark.parametrize("entry", HARMLESS_READS, ids=lambda entry: entry.id)
async def test_a_harmless_read_is_answered(attacker: Attacker, entry: Harmless) -> None:
    _require_version(attacker, entry.since)
    for times in (1, 2):
        for _ in range(times):
            result = await attacker.read(entry.sql, entry.params)
            assert entry.value is ... or result.rows[0][0] == entry.value
        await attacker.require_untouched()


async def test_what_is_repeated_is_one_trip(attacker: Attacker, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = 0
    send_around = Wire.send_around

    def counted(wire: Wire, ahead: bytes, behind: bytes = b"") -> None:
        nonlocal whole
        whole += b"BEGIN" in ahead and b"ROLLBACK" in behind
        send_around(wire, ahead, behind)

    monkeypatch.setattr(Wire, "send_around", counted)
    # More often than need be: on a busy machine one may seem not to have been brief.
    for _ in range(5):
        await attacker.read("SELECT 'repeated'")
    assert whole > 0


def test_the_corpora_are_large_and_their_entries_have_names_of_their_own() -> None:
    assert len(HOSTILE) >= 150
    assert len(HARMLESS_READS) >= 60
    for corpus in (HOSTILE, HARMLESS_READS):
        assert len({each.id for each in corpus}) == len(corpus)


def _require_version(attacker: Attacker, since: int) -> None:
    if attacker.victim.version < since:
        pytest.skip(f"means nothing before PostgreSQL {since}")
