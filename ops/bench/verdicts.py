"""What the figures say: ratios of rounds that stand beside each other, unless they were too noisy to say anything."""

import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from ops.bench.cold import Start
from ops.bench.rounds import Case, Sample

NOISY = 0.25
# Fewer rounds tell nothing of their spread.
FEWEST = 3
BASE = "naive-fast"

type Colds = dict[str, list[Start]]


def spread(values: Sequence[float]) -> float | None:
    """From the lowest to the highest, as a share of the median; None where there are too few."""
    if len(values) < FEWEST:
        return None
    return (max(values) - min(values)) / statistics.median(values)


def noise(*series: Sequence[float]) -> str | None:
    """Why these can't be compared."""
    spreads = [spread(each) for each in series]
    known = [each for each in spreads if each is not None]
    if len(known) < len(spreads):
        return "too few rounds"
    return f"too noisy ({max(known):.0%})" if max(known) > NOISY else None


def rates(case: Case) -> list[float]:
    return [sample.per_s for sample in case.samples]


def ratio(ours: Case, theirs: Case) -> str:
    """Of the throughputs, round by round."""
    pairs = zip(rates(ours), rates(theirs), strict=True)
    return noise(rates(ours), rates(theirs)) or f"{statistics.median(a / b for a, b in pairs):.2f}"


@dataclass(frozen=True)
class Verdict:
    """A target, what was reached, and whether that is enough; `reached` is None where it was not measured."""

    target: str
    reached: str | None
    holds: bool | None


@dataclass(frozen=True)
class _Target:
    """Of one work at one load: `of` makes a figure of a round of the first subject, and one of the second beside it."""

    told: str
    work: str
    callers: int
    subjects: tuple[str, ...]
    of: Callable[..., float]
    holds: Callable[[float], bool]
    form: str = "{:.2f}"

    def verdict(self, cases: Iterable[Case]) -> Verdict:
        found = {
            case.subject.name: case
            for case in cases
            if (case.work.name, case.load.callers, case.load.held) == (self.work, self.callers, 0)
        }
        if not all(name in found for name in self.subjects):
            return Verdict(self.told, None, None)
        chosen = [found[name] for name in self.subjects]
        if why := noise(*map(rates, chosen)):
            return Verdict(self.told, why, None)
        figure = statistics.median(
            self.of(*samples) for samples in zip(*(case.samples for case in chosen), strict=True)
        )
        return Verdict(self.told, self.form.format(figure), self.holds(figure))


def _throughput(ours: Sample, theirs: Sample) -> float:
    return ours.per_s / theirs.per_s


def _cpu_us(ours: Sample) -> float:
    """Of a unit of work: the samples have seconds for 1,000."""
    return float(ours.server_cpu_s * 1000)


def _rate(ours: Sample) -> float:
    return float(ours.per_s)


_TARGETS = (
    _Target(
        "by-key, 16 at a time: throughput of coldquery to naive-fast, at least 1.0",
        "by-key", 16, ("coldquery", "naive-fast"), _throughput, lambda figure: figure >= 1.0,
    ),
    _Target(
        "by-key, 16 at a time: throughput of coldquery to naive, at least 2.5",
        "by-key", 16, ("coldquery", "naive"), _throughput, lambda figure: figure >= 2.5,
    ),
    _Target(
        "by-key, 16 at a time: CPU of coldquery over constant-fast, at most 250 µs a call",
        "by-key", 16, ("coldquery", "constant-fast"),
        lambda ours, theirs: _cpu_us(ours) - _cpu_us(theirs),
        lambda figure: figure <= 250, "{:.0f} µs",
    ),
    _Target(
        "by-key, 16 at a time: p99 of coldquery to its median, under 3",
        "by-key", 16, ("coldquery",), lambda ours: float(ours.p99_ms / ours.p50_ms), lambda figure: figure < 3,
    ),
    _Target(
        "rows-1000, one at a time: median of coldquery to DBHub's, at most 1.0",
        "rows-1000", 1, ("coldquery", "dbhub"), lambda ours, theirs: float(ours.p50_ms / theirs.p50_ms),
        lambda figure: figure <= 1.0,
    ),
    _Target(
        "by-key, 16 at a time: throughput of coldquery to MCP Toolbox, at least 1.0",
        "by-key", 16, ("coldquery", "toolbox"), _throughput, lambda figure: figure >= 1.0,
    ),
    _Target(
        "by-key, 16 at a time: throughput of coldquery to DBHub, at least 1.5",
        "by-key", 16, ("coldquery", "dbhub"), _throughput, lambda figure: figure >= 1.5,
    ),
    _Target(
        "by-key, 16 at a time: CPU of coldquery, at most 200 µs a call",
        "by-key", 16, ("coldquery",), _cpu_us, lambda figure: figure <= 200, "{:.0f} µs",
    ),
    _Target(
        "by-key, one at a time: median of coldquery, at most 0.45 ms",
        "by-key", 1, ("coldquery",), lambda ours: float(ours.p50_ms), lambda figure: figure <= 0.45, "{:.2f} ms",
    ),
    _Target(
        "by-key, 16 at a time: coldquery-stdio, at least 4,000 calls/s",
        "by-key", 16, ("coldquery-stdio",), _rate, lambda figure: figure >= 4_000, "{:,.0f} /s",
    ),
    _Target(
        "rollback, one at a time: CPU of coldquery, at most 250 µs for each of its 12 calls",
        "rollback", 1, ("coldquery",), lambda ours: _cpu_us(ours) / 12, lambda figure: figure <= 250, "{:.0f} µs",
    ),
    _Target(
        "commit, one at a time: coldquery, at least 500 cycles/s",
        "commit", 1, ("coldquery",), _rate, lambda figure: figure >= 500, "{:,.0f} /s",
    ),
    _Target(
        "rows-1000, one at a time: median of coldquery, at most 2.5 ms",
        "rows-1000", 1, ("coldquery",), lambda ours: float(ours.p50_ms), lambda figure: figure <= 2.5, "{:.1f} ms",
    ),
)  # fmt: skip


def verdicts(cases: Sequence[Case], colds: Colds) -> list[Verdict]:
    return [
        *(target.verdict(cases) for target in _TARGETS),
        _cold("cold start of coldquery to constant-fast, at most 1.15", colds, lambda start: start.cold_ms),
        _cold("idle memory of coldquery to constant-fast, at most 1.15", colds, lambda start: start.idle_mib),
    ]


def _cold(told: str, colds: Colds, of: Callable[[Start], float]) -> Verdict:
    if not ("coldquery" in colds and "constant-fast" in colds):
        return Verdict(told, None, None)
    ours, theirs = ([of(start) for start in colds[name]] for name in ("coldquery", "constant-fast"))
    if why := noise(ours, theirs):
        return Verdict(told, why, None)
    figure = statistics.median(a / b for a, b in zip(ours, theirs, strict=True))
    return Verdict(told, f"{figure:.2f}", figure <= 1.15)
