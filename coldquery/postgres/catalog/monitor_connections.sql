-- How many connections are open, of how many that there may be, and whose are they? In all databases. Parts of a
-- gateway's names that differ for each session are left out, so that its sessions count as one application.
WITH open AS MATERIALIZED (
    SELECT coalesce(a.datname::text, '-') AS database, coalesce(a.usename::text, '-') AS user,
           coalesce(nullif(
               pg_catalog.regexp_replace(a.application_name, '^(coldquery/.*)/[^/]{8}$', '\1/sessions'), ''
           ), '-') AS application,
           CASE WHEN a.backend_type IS NULL THEN 'hidden' ELSE coalesce(a.state, '-') END AS state
    FROM pg_catalog.pg_stat_activity AS a
    WHERE coalesce(a.backend_type = 'client backend', a.datid IS NOT NULL AND a.usesysid IS NOT NULL)
)
SELECT (SELECT pg_catalog.count(*) FROM open) AS used,
       (SELECT pg_catalog.count(*) FROM open WHERE state = 'hidden') AS hidden,
       pg_catalog.current_setting('max_connections')::int AS max,
       pg_catalog.current_setting('superuser_reserved_connections')::int
           + coalesce(pg_catalog.current_setting('reserved_connections', true), '0')::int AS reserved,
       (SELECT coalesce(pg_catalog.jsonb_agg(pg_catalog.to_jsonb(g)), '[]') FROM (
           SELECT database, "user", application, state, pg_catalog.count(*) AS connections FROM open
           GROUP BY 1, 2, 3, 4 ORDER BY 5 DESC, 1, 2, 3, 4 LIMIT 1000
       ) AS g) AS groups,
       (SELECT coalesce(pg_catalog.jsonb_object_agg(kind || ' ' || name, most), '{}') FROM (
           SELECT 'database' AS kind, datname AS name, datconnlimit AS most FROM pg_catalog.pg_database
           WHERE datconnlimit >= 0 AND datallowconn
           UNION ALL SELECT 'user', rolname, rolconnlimit FROM pg_catalog.pg_roles
           WHERE rolconnlimit >= 0 AND rolcanlogin
           LIMIT 50
       ) AS l) AS limits
