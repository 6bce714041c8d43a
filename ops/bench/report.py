"""The tables, and the same as JSON."""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from itertools import groupby
from typing import Any

from ops.bench.ceiling import Ceiling, of_ceiling
from ops.bench.rounds import Case, Sample
from ops.bench.subjects import Subject
from ops.bench.verdicts import BASE, NOISY, Colds, Verdict, rates, ratio, spread, verdicts

# More than this share of what the client can do at all, and the client may be what was measured.
NEAR_CEILING = 0.5
_ROW = "{:22}{:>8}{:>6}{:>11}{:>10}{:>10}{:>12}{:>12}{:>7}{:>21}{:>8}  {}".format


@dataclass
class Report:
    """All that one run has found."""

    date: str
    command: str
    machine: dict[str, Any]
    versions: dict[str, str]
    subjects: Sequence[Subject]
    skipped: dict[str, str]
    notes: dict[str, str]
    ceilings: list[Ceiling] = field(default_factory=list)
    cases: list[Case] = field(default_factory=list)
    unable: dict[str, dict[str, str]] = field(default_factory=dict)
    colds: Colds = field(default_factory=dict)

    def judged(self) -> list[Verdict]:
        return verdicts(self.cases, self.colds)

    def as_json(self) -> dict[str, Any]:
        return {
            "date": self.date,
            "command": self.command,
            "machine": self.machine,
            "versions": self.versions,
            "subjects": {each.name: each.what for each in self.subjects},
            "skipped": self.skipped,
            "notes": self.notes,
            "client": [asdict(each) for each in self.ceilings],
            "cases": [self._case(case) for case in self.cases],
            "unable": self.unable,
            "cold": {name: [asdict(start) for start in starts] for name, starts in self.colds.items()},
            "targets": [asdict(each) for each in self.judged()],
        }

    def _case(self, case: Case) -> dict[str, Any]:
        return {
            "work": case.work.name,
            "callers": case.load.callers,
            "held": case.load.held,
            "subject": case.subject.name,
            "answer_bytes": case.size,
            "rounds": [asdict(sample) for sample in case.samples],
            "spread": spread(rates(case)),
            "of_client": self._of_client(case),
            f"to_{BASE}": self._ratio(case),
        }

    def _of_client(self, case: Case) -> float | None:
        calls_per_s = _median(case, lambda sample: sample.per_s) * case.work.calls
        return of_ceiling(self.ceilings, case.subject.wire, case.size, case.load.callers, calls_per_s)

    def _ratio(self, case: Case) -> str | None:
        if case.subject.name == BASE:
            return None
        for other in self.cases:
            if other.subject.name == BASE and (other.work.name, other.load) == (case.work.name, case.load):
                return ratio(case, other)
        return None

    def print(self) -> None:
        print(f"\n{self.date}  {self.command}")
        print(", ".join(f"{name} {value}" for name, value in {**self.machine, **self.versions}.items()))
        for subject in self.subjects:
            note = f" ({self.notes[subject.name]})" if subject.name in self.notes else ""
            print(f"  {subject.name:22}{subject.what}{note}")
        for name, why in self.skipped.items():
            print(f"  {name:22}SKIPPED: {why}")
        self._print_ceilings()
        for work, cases in groupby(self.cases, key=lambda case: case.work):
            print(f"\n{work.name}: {work.what}")
            print(_ROW(
                "", "callers", "held", "median ms", "p99 ms", "per s", "server CPU", "PG CPU", "MiB", f"to {BASE}",
                "spread", "",
            ))  # fmt: skip
            for case in sorted(cases, key=lambda case: (case.load.callers, case.load.held)):
                self._print_case(case)
            for why, names in self._unable(work.name):
                print(f"n/a: {', '.join(names)}: {why}")
        self._print_cold()
        self._print_verdicts()

    def _print_ceilings(self) -> None:
        if not self.ceilings:
            return
        print("\nThe client by itself: the most calls a second that it could measure")
        for each in self.ceilings:
            size = f"answers of {each.size:,} bytes, {each.callers} at a time"
            print(f"  {each.wire:7}{size:44}{each.calls_per_s:>9,.0f} /s  {each.client_cpu_us:7.1f} µs CPU a call")

    def _print_case(self, case: Case) -> None:
        def cell(of: Callable[[Sample], float | None], form: str) -> str:
            values = [value for sample in case.samples if (value := of(sample)) is not None]
            return form.format(statistics.median(values)) if values else "n/a"

        wide, share = spread(rates(case)), self._of_client(case)
        print(_ROW(
            case.subject.name,
            case.load.callers,
            case.load.held or "",
            cell(lambda sample: sample.p50_ms, "{:.2f}"),
            cell(lambda sample: sample.p99_ms, "{:.2f}"),
            cell(lambda sample: sample.per_s, "{:,.0f}"),
            cell(lambda sample: sample.server_cpu_s, "{:.3f} s"),
            cell(lambda sample: sample.postgres_cpu_s, "{:.3f} s"),
            cell(lambda sample: sample.memory_mib, "{:.0f}"),
            self._ratio(case) or "",
            "" if wide is None else f"{wide:.0%}",
            f"the client is at {share:.0%} of what it can" if share is not None and share > NEAR_CEILING else "",
        ))  # fmt: skip

    def _unable(self, work: str) -> list[tuple[str, list[str]]]:
        reasons: dict[str, list[str]] = {}
        for name, why in self.unable.get(work, {}).items():
            reasons.setdefault(why, []).append(name)
        return list(reasons.items())

    def _print_cold(self) -> None:
        if not self.colds:
            return
        print("\ncold-start: from the start of the process to the first answered tools/list, and idle memory (PSS)")
        print(f"{'':22}{'cold ms':>10}{'slowest':>10}{'MiB':>9}{'spread':>8}")
        for name, starts in self.colds.items():
            times = [start.cold_ms for start in starts]
            wide = spread(times)
            told = "" if wide is None else f"{wide:.0%}"
            mib = statistics.median(start.idle_mib for start in starts)
            print(f"{name:22}{statistics.median(times):>10,.0f}{max(times):>10,.0f}{mib:>9.1f}{told:>8}")

    def _print_verdicts(self) -> None:
        wide = [case for case in self.cases if (spread(rates(case)) or 0) > NOISY]
        if wide:
            print(f"\n{len(wide)} of {len(self.cases)} rows are too noisy: their rounds differ by over {NOISY:.0%}.")
        print("\nTargets")
        for each in self.judged():
            word = {True: "met", False: "MISSED", None: ""}[each.holds]
            print(f"  {each.target:84}{each.reached or 'not measured':>20}  {word}")


def _median(case: Case, of: Callable[[Sample], float]) -> float:
    return statistics.median(map(of, case.samples))
