-- What do the backends do that work in database $1, or in the connected one? Those that are idle only with $2; at most
-- $3, the oldest transaction first. `found` counts those left out too. Where `hidden`, the role may see no more.
SELECT a.pid, a.datname::text AS database, a.usename::text AS user, nullif(a.application_name, '') AS application,
       pg_catalog.host(a.client_addr) AS client, nullif(a.backend_type, 'client backend') AS type, a.state,
       a.wait_event_type || ': ' || a.wait_event AS waits_on,
       extract(epoch FROM pg_catalog.clock_timestamp() - a.xact_start)::float8 AS transaction_s,
       extract(epoch FROM pg_catalog.clock_timestamp() - a.query_start)::float8 AS query_s,
       extract(epoch FROM pg_catalog.clock_timestamp() - a.state_change)::float8 AS state_s,
       CASE WHEN a.wait_event_type = 'Lock' THEN pg_catalog.pg_blocking_pids(a.pid) END AS blocked_by,
       nullif(a.query, '') AS query, a.backend_type IS NULL AS hidden, pg_catalog.count(*) OVER () AS found
FROM pg_catalog.pg_stat_activity AS a
WHERE a.pid <> pg_catalog.pg_backend_pid()
  AND (
      a.datname = coalesce($1::text, pg_catalog.current_database())
      OR a.datid IS NULL AND a.backend_type = 'walsender'
  )
  AND ($2::bool OR a.state IS DISTINCT FROM 'idle')
ORDER BY a.xact_start NULLS LAST, a.query_start NULLS LAST, a.pid
LIMIT $3::int
