-- Who waits for a lock, since when, on what, and for whom? A row for each backend that waits (at most 200, those that
-- wait longest) and for each that they wait for. 0 stands for prepared transactions, which have no backend.
WITH locks AS MATERIALIZED (
    SELECT l.pid, l.locktype, l.database, l.relation, l.transactionid, l.classid, l.objid, l.objsubid, l.mode,
           l.granted, l.waitstart
    FROM pg_catalog.pg_locks AS l
), waiting AS MATERIALIZED (
    SELECT l.*, pg_catalog.pg_blocking_pids(l.pid) AS blocked_by
    FROM (SELECT DISTINCT ON (pid) * FROM locks WHERE NOT granted AND pid IS NOT NULL ORDER BY pid, waitstart) AS l
    ORDER BY l.waitstart NULLS LAST LIMIT 200
), involved AS (
    SELECT pid FROM waiting UNION SELECT pg_catalog.unnest(blocked_by) FROM waiting
)
SELECT i.pid, coalesce(w.blocked_by, '{}') AS blocked_by, w.locktype AS lock, w.mode,
       CASE WHEN c.oid IS NOT NULL AND (w.relation IS NULL OR w.locktype = 'tuple') THEN 'row of ' ELSE '' END
           || coalesce(
               pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.relname),
               'transaction ' || w.transactionid,
               CASE w.locktype
                   WHEN 'virtualxid' THEN 'the end of a transaction'
                   WHEN 'advisory' THEN 'advisory lock ' || CASE w.objsubid
                       WHEN 1 THEN ((w.classid::bigint << 32) | w.objid::bigint)::text
                       ELSE w.classid || ', ' || w.objid
                   END
               END
           ) AS what,
       extract(epoch FROM pg_catalog.clock_timestamp() - w.waitstart)::float8 AS waiting_s,
       a.datname::text AS database, a.usename::text AS user, nullif(a.application_name, '') AS application, a.state,
       extract(epoch FROM pg_catalog.clock_timestamp() - a.xact_start)::float8 AS transaction_s,
       extract(epoch FROM pg_catalog.clock_timestamp() - a.state_change)::float8 AS state_s,
       nullif(a.query, '') AS query, a.pid IS NOT NULL AND a.backend_type IS NULL AS hidden
FROM involved AS i
LEFT JOIN waiting AS w ON w.pid = i.pid
LEFT JOIN pg_catalog.pg_stat_activity AS a ON a.pid = i.pid
-- Who waits for a row waits for the transaction that has it, and holds the place in the row's queue meanwhile.
LEFT JOIN LATERAL (
    SELECT q.relation, q.database FROM locks AS q
    WHERE w.relation IS NULL AND q.pid = w.pid AND q.locktype = 'tuple' AND q.granted LIMIT 1
) AS q ON true
LEFT JOIN pg_catalog.pg_class AS c ON c.oid = coalesce(w.relation, q.relation)
    AND coalesce(w.database, q.database)
        IN (0, (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()))
LEFT JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
ORDER BY w.waitstart NULLS FIRST, i.pid
