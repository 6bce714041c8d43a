"""What a look at the catalog costs: a list of 2,000 tables, a description of one of 60 columns, and psql's own \\d+.

    uv run python -m ops.bench.catalog [--rounds 5]

It calls the tool by an MCP client in this process, over an embedded PostgreSQL in a scratch directory. Such a call
goes through FastMCP, and one to `coldquery serve` past it, so the longest answer is measured that way too. A psql
does the same in the same run: one that is started each time, as a user does, and one that is there already. Timings
stand beside their targets and prove nothing; the facts are proven, and the exit code is 1 if one does not hold.
"""

from __future__ import annotations

import argparse
import asyncio
import subprocess
import sys
from pathlib import Path
from typing import Any
from unittest import mock

import asyncpg
import msgspec
from fastmcp import Client, FastMCP

from coldquery.express.frames import answered, understood
from coldquery.gateway import Gateway
from coldquery.mcp.pg_schema import PgSchema
from coldquery.postgres.binaries import find_binaries
from coldquery.postgres.embedded import OWNER, READER, Endpoint
from ops.bench.answers import interleave
from ops.bench.harness import scratch_postgres
from ops.bench.inside import run, serving
from ops.bench.measures import Call, Fact, Measure, print_facts, print_head, print_measures

TABLES = 2_000
COLUMNS = 60
SCHEMA = f"""
CREATE SCHEMA crowd;
DO $$
BEGIN
    FOR i IN 1 .. {TABLES} LOOP
        EXECUTE format('CREATE TABLE crowd.t_%s (id int PRIMARY KEY, a text, b numeric)', i);
    END LOOP;
    EXECUTE (
        SELECT format(
            'CREATE TABLE crowd.wide (id int PRIMARY KEY, %s)', string_agg(format('c_%s text DEFAULT %L', i, i), ', ')
        )
        FROM generate_series(2, {COLUMNS}) AS i
    );
    FOR i IN 1 .. 20 LOOP
        EXECUTE format('CREATE INDEX ON crowd.wide (c_%s)', i + 1);
        EXECUTE format('ALTER TABLE crowd.t_%s ADD FOREIGN KEY (id) REFERENCES crowd.wide', i);
    END LOOP;
END $$;
"""
END = "\\echo done"

TARGET = "at most 30 ms"
LONGEST = f"pg_schema list, summaries of {TABLES:,} tables"
CALLS: dict[str, dict[str, Any]] = {
    f"pg_schema list, names of {TABLES:,} tables": {
        "action": "list", "target": "table", "schema": "crowd", "detail": "names", "limit": 2000
    },
    LONGEST: {"action": "list", "target": "table", "schema": "crowd", "limit": 2000},
    f"pg_schema list, a page of 50 of {TABLES:,}": {"action": "list", "target": "table", "schema": "crowd"},
    f"pg_schema list, 50 of {TABLES:,} with sizes": {
        "action": "list", "target": "table", "schema": "crowd", "include_sizes": True
    },
    f"pg_schema describe, {COLUMNS} columns": {"action": "describe", "name": "crowd.wide"},
}  # fmt: skip


class Psql:
    """A psql that waits for commands."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    async def start(cls, program: str, dsn: str) -> Psql:
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(program, "-X", "-q", dsn, stdin=pipe, stdout=pipe, limit=1 << 24)
        return cls(process)

    async def run(self, command: str) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{command}\n{END}\n".encode())
        await self._process.stdout.readuntil(b"done\n")

    async def stop(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        await self._process.wait()


async def measure(endpoint: Endpoint, program: Path, rounds: int) -> tuple[list[Measure], list[Fact]]:
    connection = await asyncpg.connect(endpoint.dsn(OWNER))
    await connection.execute(SCHEMA)
    await connection.execute("GRANT USAGE ON SCHEMA crowd TO PUBLIC; ANALYZE")
    await connection.close()
    dsn = endpoint.dsn(READER)
    psql = await Psql.start(str(program), dsn)
    listed = Measure(f"psql that runs already, \\dt+ of {TABLES:,} tables", "ms")
    described = Measure(f"psql that runs already, \\d+ of {COLUMNS} columns", "ms")
    started = Measure(f"psql from its start, \\d+ of {COLUMNS} columns", "ms")

    async def start_psql() -> None:
        command = [str(program), "-X", "-q", "-c", "\\d+ crowd.wide", dsn]
        await asyncio.to_thread(subprocess.run, command, check=True, stdout=subprocess.DEVNULL)

    subjects: list[tuple[Measure, Call]] = [
        (listed, lambda: psql.run("\\dt+ crowd.*")),
        (described, lambda: psql.run("\\d+ crowd.wide")),
        (started, start_psql),
    ]
    async with (
        serving(endpoint, "catalog") as gateway,
        Client(FastMCP("bench", tools=[tool := PgSchema(gateway)])) as client,
    ):
        for name, arguments in CALLS.items():
            base = listed if arguments["action"] == "list" else described
            subjects.append((Measure(name, "ms", base, TARGET), _call(client, arguments)))
        subjects.append((Measure(f"{LONGEST}, past FastMCP", "ms", listed, TARGET), _express(tool, CALLS[LONGEST])))
        await interleave(subjects, rounds, turns=5, count=2)
        facts = [await _trips(gateway, client, name, arguments) for name, arguments in CALLS.items()]
    await psql.stop()
    return [measure for measure, _ in subjects], facts


def _call(client: Client[Any], arguments: dict[str, Any]) -> Call:
    return lambda: client.call_tool("pg_schema", arguments)


def _express(tool: PgSchema, arguments: dict[str, Any]) -> Call:
    """The same by the express lane: its client reads one message."""
    call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": tool.name, "arguments": arguments}}
    frame = understood(msgspec.json.encode(call))
    assert frame is not None

    async def answer() -> None:
        reply = await tool.reply(arguments, "express", request="bench", client=None)
        msgspec.json.decode(answered(frame, reply, {}))

    return answer


async def _trips(gateway: Gateway, client: Client[Any], name: str, arguments: dict[str, Any]) -> Fact:
    with mock.patch.object(gateway, "look", wraps=gateway.look) as look:
        await client.call_tool("pg_schema", arguments)
    return Fact(f"questions: {name.removeprefix('pg_schema ')}", look.call_count, look.call_count <= 3)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    with scratch_postgres(durable=False) as endpoint:
        print(f"PostgreSQL without fsync; medians of {rounds} rounds")
        print_head()
        measures, facts = run(measure(endpoint, Path(find_binaries().program("psql")), rounds))
        print_measures(measures)
    print_facts(facts)
    sys.exit(not all(fact.holds for fact in facts))


if __name__ == "__main__":
    main()
