"""What counts as a leak, and when."""

from dataclasses import replace
from typing import Any

from coldquery.postgres.connection import Backend
from coldquery.sessions.reaper import ActorFact, BackendFact, Kind, Suspects, Verdict, verdicts

ONE, TWO = Backend(1, 100), Backend(2, 200)
INTERVAL_S = 10.0


def actor(**differs: Any) -> ActorFact:
    plain = ActorFact("a", ONE, asked=True, ended=False, busy=False, client_gone=False, blocks=())
    return replace(plain, **differs)


def backend(**differs: Any) -> BackendFact:
    return BackendFact(**{"backend": ONE, "session": "a", "idle": True, "blocks": (), **differs})


def sweeps(*pictures: tuple[list[ActorFact], list[BackendFact]]) -> list[tuple[Verdict, ...]]:
    suspects: Suspects = {}
    told = []
    for number, (actors, backends) in enumerate(pictures):
        found, suspects = verdicts(actors, backends, number * INTERVAL_S, suspects, max_blocking_s=15)
        told.append(found)
    return told


def test_a_session_and_its_backend_are_no_leak() -> None:
    assert sweeps(([actor()], [backend()]), ([actor()], [backend()])) == [(), ()]


def test_a_connection_left_open_is_told_at_the_second_sight() -> None:
    leak = Verdict(Kind.CONNECTION_LEFT_OPEN, "a", ONE)
    assert sweeps(*[([actor(ended=True)], [backend()])] * 2) == [(), (leak,)]


def test_a_backend_without_a_session_is_told_at_the_second_sight() -> None:
    leak = Verdict(Kind.BACKEND_WITHOUT_ACTOR, None, TWO)
    picture = ([actor()], [backend(), backend(backend=TWO)])
    assert sweeps(picture, picture) == [(), (leak,)]


def test_a_pid_that_is_used_again_is_another_backend() -> None:
    young, old = backend(backend=Backend(2, 200)), backend(backend=Backend(2, 100))
    assert sweeps(([], [old]), ([], [young])) == [(), ()]


def test_a_backend_that_is_not_named_as_a_session_is_nobodys_business() -> None:
    assert sweeps(*[([], [backend(session=None)])] * 2) == [(), ()]


def test_a_session_whose_backend_is_gone_is_told_at_the_second_sight() -> None:
    assert sweeps(*[([actor()], [])] * 2) == [(), (Verdict(Kind.BACKEND_GONE, "a", ONE),)]


def test_a_session_that_is_opening_is_not_missed_and_its_backend_is_no_orphan() -> None:
    assert sweeps(*[([actor(backend=None)], [])] * 2) == [(), ()]
    assert sweeps(*[([actor(backend=None)], [backend()])] * 2) == [(), ()]


def test_a_session_of_another_database_than_the_one_that_is_asked_is_not_missed_there() -> None:
    assert sweeps(*[([actor(asked=False)], [])] * 3) == [(), (), ()]


def test_a_session_whose_client_is_gone_is_told_at_the_second_sight() -> None:
    assert sweeps(*[([actor(client_gone=True)], [backend()])] * 2) == [(), (Verdict(Kind.CLIENT_GONE, "a", ONE),)]


def test_what_was_seen_once_and_then_not_begins_again() -> None:
    seen, fine = [backend()], ([actor()], [backend()])
    assert sweeps(([], seen), fine, ([], seen)) == [(), (), ()]


def test_who_stands_idle_in_the_way_is_warned_and_then_told_and_then_cleared() -> None:
    blocking = ([actor()], [backend(blocks=(7,))])
    warned = Verdict(Kind.BLOCKING, "a", ONE, (7,), final=False)
    final = Verdict(Kind.BLOCKING, "a", ONE, (7,))
    cleared = Verdict(Kind.BLOCKING, "a", None, final=False)
    assert sweeps(blocking, blocking, blocking, blocking, ([actor(blocks=(7,))], [backend()])) == [
        (warned,),
        (warned,),
        (final,),
        (warned,),
        (cleared,),
    ]


def test_who_works_is_not_idle_in_the_way() -> None:
    assert sweeps(([actor(busy=True)], [backend(blocks=(7,))])) == [()]
    assert sweeps(([actor()], [backend(idle=False, blocks=(7,))])) == [()]
