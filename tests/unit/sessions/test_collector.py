"""The garbage collector as it is set up for serving: it finds what sessions leave, however much was frozen."""

import gc
from collections.abc import Iterator

import pytest

from coldquery.collector import freeze


@pytest.fixture
def restored() -> Iterator[None]:
    thresholds = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*thresholds)


class Cycle:
    def __init__(self) -> None:
        self.itself = self


@pytest.mark.usefixtures("restored")
def test_full_collections_come_however_much_was_frozen() -> None:
    start_up = [[number] for number in range(200_000)]
    freeze()
    assert gc.get_freeze_count() > len(start_up)
    before = gc.get_stats()[2]["collections"]
    lately = [Cycle() for _ in range(1_000)]
    for number in range(500_000):
        lately[number % len(lately)] = Cycle()
    assert gc.get_stats()[2]["collections"] > before
