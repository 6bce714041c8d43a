-- Which tables, views and the like have a name that shares most pairs of letters with $1? At most 50, best first.
-- Those of the system only if $1 looks like one of theirs.
SELECT n.nspname::text AS schema, c.relname::text AS name
FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
CROSS JOIN LATERAL (
    SELECT pg_catalog.count(*) AS shared
    FROM pg_catalog.generate_series(1, greatest(pg_catalog.length($1::text) - 1, 1)) AS i
    WHERE pg_catalog.strpos(pg_catalog.lower(c.relname), pg_catalog.substr(pg_catalog.lower($1), i, 2)) > 0
) AS pairs
WHERE c.relkind IN ('r', 'v', 'm', 'f', 'p')
  AND n.nspname !~ '^pg_(toast|temp_)'
  AND (n.nspname NOT IN ('pg_catalog', 'information_schema') OR $1 LIKE 'pg\_%')
  AND pg_catalog.has_schema_privilege(n.oid, 'USAGE')
  AND pairs.shared > 0
ORDER BY pairs.shared DESC, pg_catalog.abs(pg_catalog.length(c.relname) - pg_catalog.length($1)), 1, 2
LIMIT 50
