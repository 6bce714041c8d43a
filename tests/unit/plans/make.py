"""Makes the plans in this directory: ./dev run python tests/unit/plans/make.py [DIRECTORY OF POSTGRESQL'S PROGRAMS]."""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import asyncpg

from coldquery.postgres.embedded import SUPERUSER, EmbeddedPostgres

SCHEMA = """
CREATE SCHEMA shop;
CREATE TABLE shop.customers (id int PRIMARY KEY, email text NOT NULL, country text);
CREATE TABLE shop.orders (
    id int PRIMARY KEY, customer_id int NOT NULL, status text NOT NULL, placed_at date NOT NULL, note text
);
CREATE TABLE shop.pairs (a int, b int);
CREATE TABLE shop.parents (id int PRIMARY KEY);
CREATE TABLE shop.children (id int, parent_id int REFERENCES shop.parents ON DELETE CASCADE);
CREATE TABLE shop.sparse (id int, k int) WITH (fillfactor = 10);
INSERT INTO shop.customers
SELECT i, 'c' || i || '@example.org', (ARRAY['de', 'fr', 'us'])[1 + i % 3] FROM generate_series(1, 2000) AS i;
INSERT INTO shop.orders
SELECT i, 1 + i % 2000, CASE WHEN i % 1000 = 0 THEN 'lost' ELSE 'paid' END, date '2026-01-01' + i % 300, repeat('x', 40)
FROM generate_series(1, 60000) AS i;
INSERT INTO shop.pairs SELECT i % 100, i % 100 FROM generate_series(1, 20000) AS i;
INSERT INTO shop.parents SELECT generate_series(1, 200);
INSERT INTO shop.children SELECT i, 1 + i % 200 FROM generate_series(1, 20000) AS i;
INSERT INTO shop.sparse SELECT i, i % 10 FROM generate_series(1, 60000) AS i;
CREATE INDEX ON shop.orders (placed_at);
CREATE INDEX ON shop.sparse (id);
ANALYZE;
"""
SMALL = {"work_mem": "64kB"}
NESTED = dict.fromkeys(("enable_hashjoin", "enable_mergejoin", "enable_memoize"), "off")
NO_INDEX = dict.fromkeys(("enable_indexscan", "enable_bitmapscan"), "off")
PARALLEL = {
    "max_parallel_workers_per_gather": "2",
    **dict.fromkeys(("parallel_setup_cost", "parallel_tuple_cost", "min_parallel_table_scan_size"), "0"),
}
JIT = {"jit": "on", **dict.fromkeys(("jit_above_cost", "jit_inline_above_cost", "jit_optimize_above_cost"), "0")}

CASES: dict[str, tuple[dict[str, str], str]] = {
    "seq_scan": ({}, "SELECT id FROM shop.orders o WHERE customer_id = 7 AND status = 'lost'"),
    "seq_scan_estimated": ({}, "SELECT id FROM shop.orders WHERE customer_id = 7"),
    "misestimate": ({}, "SELECT a FROM shop.pairs WHERE a = 1 AND b = 1 ORDER BY a LIMIT 1000"),
    "sort_spill": (SMALL, "SELECT id, note FROM shop.orders ORDER BY note, id DESC"),
    "hash_spill": (
        {**SMALL, "enable_mergejoin": "off", "hash_mem_multiplier": "1"},
        "SELECT count(*) FROM shop.orders a JOIN shop.orders b ON b.id = a.id + 1",
    ),
    "aggregate_spill": (
        {**SMALL, "enable_sort": "off", "enable_indexscan": "off", "enable_indexonlyscan": "off"},
        "SELECT id, count(*) FROM shop.orders GROUP BY id OFFSET 59990",
    ),
    "nested_loop": (NESTED, "SELECT sum(c.id) FROM shop.orders o JOIN shop.customers c ON c.id = o.customer_id"),
    "lossy_bitmap": (
        {**SMALL, "enable_seqscan": "off", "enable_indexscan": "off"},
        "SELECT count(k) FROM shop.sparse WHERE id < 50000",
    ),
    "heap_fetches": (
        {"enable_seqscan": "off", "enable_bitmapscan": "off"},
        "SELECT count(*) FROM shop.orders WHERE placed_at < '2026-03-01'",
    ),
    "workers": ({**PARALLEL, "max_parallel_workers": "0"}, "SELECT count(*) FROM shop.orders"),
    "parallel": (PARALLEL, "SELECT count(*) FROM shop.orders WHERE status = 'lost'"),
    "jit": (JIT, "SELECT count(*) FROM shop.customers WHERE country = 'de'"),
    "trigger": ({}, "DELETE FROM shop.parents"),
    "cte": (
        {},
        """
        WITH per AS MATERIALIZED (SELECT customer_id, count(*) AS n FROM shop.orders GROUP BY 1)
        SELECT c.email, (SELECT max(n) FROM per) FROM shop.customers c JOIN per ON per.customer_id = c.id
        WHERE per.n > 10 LIMIT 5
        """,
    ),
    "plain": ({}, "SELECT email FROM shop.customers WHERE id = 7"),
    "append": ({}, "SELECT 1 AS x UNION ALL SELECT id FROM shop.parents WHERE id::text = '7'"),
    "pairs_compared": (
        {**SMALL, **NESTED, **NO_INDEX},
        "SELECT count(*) FROM shop.customers c JOIN shop.orders o ON o.id % 7 = c.id WHERE c.id < 20",
    ),
}
# What no reading looks at.
DROPPED = {"Query Identifier", "Planning", "Async Capable"}


def lean(value: Any) -> Any:
    if isinstance(value, dict):
        kept = {key: each for key, each in value.items() if key not in DROPPED}
        return {key: lean(each) for key, each in kept.items() if not (key.endswith(" Blocks") and each == 0)}
    return [lean(each) for each in value] if isinstance(value, list) else value


async def explained(dsn: str) -> dict[str, Any]:
    connection = await asyncpg.connect(dsn)
    await connection.execute(SCHEMA)
    plans = {}
    for name, (settings, sql) in CASES.items():
        transaction = connection.transaction()
        await transaction.start()
        for setting, value in {"jit": "off", "max_parallel_workers_per_gather": "0", **settings}.items():
            await connection.execute(f"SET LOCAL {setting} = '{value}'")
        analyze = "" if name.endswith("_estimated") else "ANALYZE, BUFFERS, "
        plans[name] = lean(
            json.loads(await connection.fetchval(f"EXPLAIN ({analyze}FORMAT JSON, VERBOSE, SETTINGS) {sql}"))
        )
        await transaction.rollback()
    await connection.close()
    return plans


def main(bin_dir: Path | None) -> None:
    home = Path(tempfile.mkdtemp(prefix="coldquery-plans-", dir="/tmp"))
    server = EmbeddedPostgres(home, bin_dir=bin_dir, durable=False)
    with server as endpoint:
        plans = asyncio.run(explained(endpoint.dsn(SUPERUSER, SUPERUSER)))
    major = server.describe().split()[1].split(".")[0]
    lines = [f"{json.dumps(name)}: {json.dumps(each, separators=(',', ':'))}" for name, each in plans.items()]
    Path(__file__).with_name(f"{major}.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else None)
