"""The benchmark suite: `./dev run python -m ops.bench`; docs/performance.md explains it.

    ./dev run python -m ops.bench [--quick] [--peers] [--rounds 5] [--seconds 3] [--work NAME …] [--subject NAME …]

Exit code: 0 if all was measured, 1 if an answer was wrong or missing, 2 if the command line is.
"""

import argparse
import asyncio
import contextlib
import json
import os
import platform
import shlex
import signal
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import uvloop

from ops.bench import ceiling, cold, peers, rounds
from ops.bench.data import Data, filled, scratch_dsn
from ops.bench.lanes import BenchError
from ops.bench.machine import machine, versions
from ops.bench.report import Report
from ops.bench.subjects import OWN, Subject
from ops.bench.transactions import TRANSACTIONS
from ops.bench.work import CONCURRENCIES, READS, Load, Work

WORKS: tuple[Work, ...] = (*READS[:-1], *TRANSACTIONS, READS[-1])
COLD = "cold-start"
PEERS = ("dbhub", "dbhub-stdio", "toolbox", "toolbox-stdio", "postgres-mcp", "server-postgres")
# What a database must spare beyond the sessions held and those of the callers.
SPARE_CONNECTIONS = 60


def arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m ops.bench", description="Measure ColdQuery beside others.")
    works = [*(work.name for work in WORKS), COLD]
    subjects = [*(subject.name for subject in OWN), *PEERS]
    parser.add_argument("--rounds", type=int, default=5, help="of each subject, work and load; default 5")
    parser.add_argument("--seconds", type=float, default=3, help="of each round; default 3")
    parser.add_argument("--work", nargs="+", choices=works, default=works, metavar="NAME", help=", ".join(works))
    parser.add_argument("--subject", nargs="+", choices=subjects, metavar="NAME", help=", ".join(subjects))
    parser.add_argument("--callers", nargs="+", type=int, metavar="N", help="only these loads: 1, 16, 64")
    parser.add_argument("--peers", action="store_true", help="the peers too; they are installed into the user's cache")
    parser.add_argument("--quick", action="store_true", help="one round of 0.2 s, no fsync: to see that it works")
    parser.add_argument("--dsn", help="a database to measure on, instead of an embedded PostgreSQL")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all rounds there")
    options = parser.parse_args(given)
    if options.quick:
        options.rounds, options.seconds = 1, 0.2
    if options.rounds < 1 or options.seconds <= 0:
        parser.error("--rounds and --seconds must be above 0")
    return options


def chosen(options: argparse.Namespace) -> tuple[list[Subject], peers.Peers]:
    wanted: list[str] = options.subject or []
    found = peers.Peers()
    if options.peers or set(wanted) & set(PEERS):
        found = peers.install(wanted)
    subjects = [each for each in (*OWN, *found.subjects) if not wanted or each.name in wanted]
    return subjects, found


async def run(options: argparse.Namespace, dsn: str) -> Report:
    # As SIGINT does, it ends the servers too.
    if (task := asyncio.current_task()) is not None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    subjects, found = chosen(options)
    subjects = [each for each in subjects if await starts(each, dsn, found.skipped)]
    works = [work for work in WORKS if work.name in options.work]
    async with filled(dsn) as data:
        report = Report(
            date=datetime.now(UTC).isoformat(timespec="seconds"),
            command=shlex.join(["python", "-m", "ops.bench", *sys.argv[1:]]),
            machine=machine(),
            versions=versions(data.version),
            subjects=subjects,
            skipped=found.skipped,
            notes=found.notes,
        )
        if COLD in options.work:
            idle_s = min(cold.IDLE_S, options.seconds)
            report.colds = await cold.measure(subjects, dsn, options.rounds, idle_s)
        if works:
            report.ceilings = await ceiling.measure(min(options.seconds, 2), options.callers or CONCURRENCIES)
            async with rounds.playing(subjects, dsn) as players:
                report.unable = await rounds.check(players, works, data)
                for work in works:
                    for load in loads(work, options, data, report):
                        report.cases += await rounds.measure(
                            players, work, load, data, rounds=options.rounds, seconds=options.seconds
                        )
                    await data.verify()
    return report


async def starts(subject: Subject, dsn: str, skipped: dict[str, str]) -> bool:
    """Start it once, which also fills the caches of the disk and of Python. A peer that does not is skipped."""
    try:
        await cold.one(subject, dsn, 0)
    except BenchError as error:
        if not subject.peer:
            raise
        skipped[subject.name] = " ".join(str(error).split())
        return False
    return True


def loads(work: Work, options: argparse.Namespace, data: Data, report: Report) -> list[Load]:
    """Those that were asked for, and that the database has connections for."""
    found = [load for load in work.loads if not options.callers or load.callers in options.callers]
    possible = []
    for load in found:
        if load.callers + load.held + SPARE_CONNECTIONS > data.max_connections:
            why = f"max_connections of the database is {data.max_connections}"
            report.skipped[f"{work.name}, {load.callers} at a time, {load.held} held"] = why
        else:
            possible.append(load)
    return possible


def main() -> int:
    options = arguments()
    if platform.system() != "Linux":
        print("bench: what processes cost is read from /proc, which only Linux has.", file=sys.stderr)
        return 2
    given = contextlib.nullcontext(options.dsn)
    try:
        with given if options.dsn else scratch_dsn(durable=not options.quick) as dsn:
            report = asyncio.run(run(options, dsn), loop_factory=uvloop.new_event_loop)
    except BenchError as error:
        print(f"\nbench: {error}", file=sys.stderr)
        return 1
    except asyncio.CancelledError:
        return 128 + signal.SIGTERM
    report.print()
    if options.json:
        options.json.write_text(json.dumps(report.as_json(), indent=1) + os.linesep)
    return 0


if __name__ == "__main__":
    sys.exit(main())
