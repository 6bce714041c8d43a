"""Pauses between attempts."""

from coldquery.postgres.backoff import Backoff


def test_pauses_double_up_to_the_limit_and_begin_again_after_a_success() -> None:
    backoff = Backoff(1.0, 4.0)
    for longest in (1.0, 2.0, 4.0, 4.0):
        assert longest / 2 <= backoff.pause_s() <= longest
    backoff.reset()
    assert backoff.pause_s() <= 1.0
