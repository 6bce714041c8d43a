-- How is the server? One row, and in it one value for each check: connections, the connected database's cache, distance
-- to wraparound, old transactions, waits for locks, replication, its slots. `sees_all`: nothing of it is hidden.
WITH backends AS MATERIALIZED (
    SELECT a.pid, a.datid, a.usesysid, a.usename, a.application_name, a.backend_type, a.state,
           extract(epoch FROM pg_catalog.clock_timestamp() - a.xact_start) AS age_s
    FROM pg_catalog.pg_stat_activity AS a WHERE a.pid <> pg_catalog.pg_backend_pid()
), place AS MATERIALIZED (
    SELECT pg_catalog.pg_is_in_recovery() AS standby,
           CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_last_wal_replay_lsn()
                ELSE pg_catalog.pg_current_wal_lsn() END AS lsn
)
SELECT
    pg_catalog.pg_has_role('pg_read_all_stats', 'USAGE') AS sees_all,
    pg_catalog.jsonb_build_object(
        'used', (SELECT 1 + pg_catalog.count(*) FROM backends
                 WHERE coalesce(backend_type = 'client backend', datid IS NOT NULL AND usesysid IS NOT NULL)),
        'max', pg_catalog.current_setting('max_connections')::int,
        'reserved', pg_catalog.current_setting('superuser_reserved_connections')::int
            + coalesce(pg_catalog.current_setting('reserved_connections', true), '0')::int
    ) AS connections,
    (
        SELECT pg_catalog.jsonb_build_object('hit', d.blks_hit, 'read', d.blks_read)
        FROM pg_catalog.pg_stat_database AS d WHERE d.datname = pg_catalog.current_database()
    ) AS cache,
    pg_catalog.jsonb_build_object(
        'freeze_max', pg_catalog.current_setting('autovacuum_freeze_max_age')::bigint,
        'databases', (
            SELECT pg_catalog.jsonb_agg(pg_catalog.to_jsonb(d)) FROM (
                SELECT datname AS name, pg_catalog.age(datfrozenxid) AS age,
                       pg_catalog.mxid_age(datminmxid) AS multixact_age
                FROM pg_catalog.pg_database
                ORDER BY greatest(pg_catalog.age(datfrozenxid), pg_catalog.mxid_age(datminmxid)) DESC LIMIT 5
            ) AS d
        ),
        'tables', (
            SELECT coalesce(pg_catalog.jsonb_agg(pg_catalog.to_jsonb(t)), '[]') FROM (
                SELECT pg_catalog.format('%I.%I', n.nspname, c.relname) AS name, pg_catalog.age(c.relfrozenxid) AS age
                FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
                WHERE c.relkind IN ('r', 'm', 't') ORDER BY pg_catalog.age(c.relfrozenxid) DESC, 1 LIMIT 3
            ) AS t
        )
    ) AS wraparound,
    (
        SELECT coalesce(pg_catalog.jsonb_agg(pg_catalog.to_jsonb(t) ORDER BY t.age_s DESC), '[]') FROM (
            SELECT pid, usename AS user, application_name AS application, state, pg_catalog.round(age_s) AS age_s
            FROM backends WHERE age_s >= 1 AND backend_type NOT IN ('walsender', 'autovacuum worker')
            UNION ALL
            SELECT NULL, owner, gid, 'prepared',
                   pg_catalog.round(extract(epoch FROM pg_catalog.clock_timestamp() - prepared))
            FROM pg_catalog.pg_prepared_xacts
            ORDER BY 5 DESC LIMIT 10
        ) AS t
    ) AS long_transactions,
    (
        SELECT pg_catalog.jsonb_build_object(
            'waiting', pg_catalog.count(DISTINCT l.pid),
            'longest_s', coalesce(
                pg_catalog.max(extract(epoch FROM pg_catalog.clock_timestamp() - l.waitstart)), 0
            )::float8
        )
        FROM pg_catalog.pg_locks AS l WHERE NOT l.granted
    ) AS lock_waits,
    pg_catalog.jsonb_build_object(
        'standby', place.standby,
        'behind_s', CASE
            WHEN place.standby
                AND pg_catalog.pg_last_wal_receive_lsn() IS DISTINCT FROM pg_catalog.pg_last_wal_replay_lsn()
            THEN extract(epoch FROM pg_catalog.clock_timestamp() - pg_catalog.pg_last_xact_replay_timestamp())::float8
        END,
        'standbys', (
            SELECT coalesce(pg_catalog.jsonb_agg(pg_catalog.to_jsonb(s)), '[]') FROM (
                SELECT application_name AS application, state,
                       -- What only receives, such as an archive, has replayed nothing.
                       pg_catalog.pg_wal_lsn_diff(place.lsn, coalesce(replay_lsn, flush_lsn, write_lsn)) AS behind_bytes,
                       extract(epoch FROM replay_lag)::float8 AS behind_s
                FROM pg_catalog.pg_stat_replication WHERE state IS DISTINCT FROM 'backup'
                ORDER BY 3 DESC NULLS LAST LIMIT 20
            ) AS s
        )
    ) AS replication,
    (
        SELECT coalesce(pg_catalog.jsonb_agg(pg_catalog.to_jsonb(s)), '[]') FROM (
            SELECT slot_name AS slot, slot_type AS type, database, active, wal_status,
                   pg_catalog.pg_wal_lsn_diff(place.lsn, restart_lsn) AS kept_bytes
            FROM pg_catalog.pg_replication_slots WHERE NOT temporary ORDER BY 6 DESC NULLS LAST LIMIT 20
        ) AS s
    ) AS replication_slots
FROM place
