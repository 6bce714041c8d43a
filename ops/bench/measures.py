"""Times, the lines of a table that are made of them, and facts."""

import statistics
import sys
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field

SCALES = {"µs": 1e6, "ms": 1e3}
DIGITS = {"µs": 1, "ms": 2, "KiB": 1, "/s": 0}

type Call = Callable[[], Awaitable[object]]


async def timed(call: Call, count: int = 1) -> list[float]:
    """How long each of so many calls took, one after the other, in seconds."""
    times = []
    for _ in range(count):
        started = time.perf_counter()
        await call()
        times.append(time.perf_counter() - started)
    return times


def p50_p99(times: Sequence[float]) -> tuple[float, float]:
    return statistics.median(times), sorted(times)[int(len(times) * 0.99)]


def rotated[T](items: Sequence[T], by: int) -> list[T]:
    """The items in an order that is another in each round."""
    at = by % len(items)
    return [*items[at:], *items[:at]]


@dataclass
class Measure:
    """A line of the table: what each round has measured, and what that is held against."""

    name: str
    unit: str
    base: "Measure | None" = None
    target: str = ""
    rounds: list[float] = field(default_factory=list)
    p99s: list[float] = field(default_factory=list)

    def add(self, times_s: Sequence[float]) -> None:
        p50, p99 = (each * SCALES[self.unit] for each in p50_p99(times_s))
        self.rounds.append(p50)
        self.p99s.append(p99)

    def print(self) -> None:
        digits = DIGITS[self.unit]
        cells = [f"{statistics.median(each):,.{digits}f}" if each else "" for each in (self.rounds, self.p99s)]
        if self.base is not None:
            # Round by round, since the rounds may differ by more than the two do.
            pairs = list(zip(self.rounds, self.base.rounds, strict=True))
            cells.append(f"{statistics.median(ours - theirs for ours, theirs in pairs):+,.{digits}f}")
            cells.append(f"{statistics.median(ours / theirs for ours, theirs in pairs):.2f}")
        cells += [""] * (4 - len(cells))
        print_row(self.name, self.unit, *cells, f"    {self.target}")


def print_measures(measures: Iterable[Measure]) -> None:
    print()
    for measure in measures:
        measure.print()


def print_head() -> None:
    print_row("", "", "median", "p99", "more", "ratio", "    target")


@dataclass(frozen=True)
class Fact:
    """Something that must be so, and not only fast."""

    name: str
    found: object
    holds: bool


def print_facts(facts: Iterable[Fact]) -> None:
    print("\nFacts")
    for fact in facts:
        print_row(fact.name, str(fact.found), "ok" if fact.holds else "FAILED")


def print_row(name: str, *cells: str) -> None:
    print(f"{name:52}" + "".join(f"{cell:>10}" for cell in cells))


def progress(told: str) -> None:
    """Where a run is: on a terminal in one line, which is written over."""
    if sys.stderr.isatty():
        print(f"\033[K{told}", end="\r", file=sys.stderr, flush=True)
    else:
        print(told, file=sys.stderr, flush=True)
