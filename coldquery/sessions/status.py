"""What `Inspect` asks PostgreSQL about a session's own transaction."""

from __future__ import annotations

import msgspec

from coldquery.sessions.replies import Lock, TableChanges

# One row, one value: a question in the session's own transaction costs as few trips as can be. Nothing of the caller's
# making is to be found by its names.
# https://www.postgresql.org/docs/current/monitoring-stats.html#MONITORING-STATS-VIEWS
SEARCH_PATH = "SET LOCAL search_path = pg_catalog, pg_temp"
QUESTION = """
SELECT jsonb_build_object(
    'changes', (
        SELECT coalesce(jsonb_agg(jsonb_build_object(
            'table', t.name, 'inserted', t.n_tup_ins, 'updated', t.n_tup_upd, 'deleted', t.n_tup_del
        )), '[]')
        FROM (
            SELECT format('%I.%I', t.schemaname, t.relname) AS name, t.n_tup_ins, t.n_tup_upd, t.n_tup_del
            FROM pg_stat_xact_user_tables AS t WHERE t.n_tup_ins + t.n_tup_upd + t.n_tup_del > 0
            ORDER BY t.n_tup_ins + t.n_tup_upd + t.n_tup_del DESC, 1 LIMIT 100
        ) AS t
    ),
    'locks', (
        SELECT coalesce(jsonb_agg(jsonb_build_object('type', l.locktype, 'relation', l.relation, 'mode', l.mode)), '[]')
        FROM (
            SELECT DISTINCT l.locktype, l.relation::regclass::text AS relation, l.mode
            FROM pg_locks AS l
            WHERE l.pid = pg_backend_pid() AND l.granted AND l.locktype <> 'virtualxid'
              AND (l.relation IS NULL OR l.relation >= 16384)  -- FirstNormalObjectId: not the catalogs
            ORDER BY 1, 2, 3 LIMIT 100
        ) AS l
    ),
    'blocks', (
        SELECT coalesce(jsonb_agg(w.pid), '[]')
        FROM (
            SELECT w.pid FROM (SELECT DISTINCT l.pid FROM pg_locks AS l WHERE NOT l.granted) AS w
            WHERE pg_backend_pid() = ANY (pg_blocking_pids(w.pid)) ORDER BY 1 LIMIT 100
        ) AS w
    )
)
"""


def understand(value: msgspec.Raw) -> tuple[tuple[TableChanges, ...], tuple[Lock, ...], tuple[int, ...]]:
    """The answer's one value as changes, locks, and the backends that wait."""
    answer = msgspec.json.decode(value)
    return (
        tuple(TableChanges(**each) for each in answer["changes"]),
        tuple(Lock(**each) for each in answer["locks"]),
        tuple(answer["blocks"]),
    )
