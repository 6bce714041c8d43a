-- Which schemas have a name that holds $1, in any case? At most 101, those that begin with it first. Those of the system
-- only if $1 begins as theirs do.
SELECT n.nspname::text AS name
FROM pg_catalog.pg_namespace AS n
WHERE pg_catalog.strpos(pg_catalog.lower(n.nspname), pg_catalog.lower($1::text)) > 0
  AND n.nspname !~ '^pg_(toast|temp_)'
  AND (n.nspname NOT IN ('pg_catalog', 'information_schema') OR $1 ~* '^(pg_|inf)')
  AND pg_catalog.has_schema_privilege(n.oid, 'USAGE')
ORDER BY pg_catalog.strpos(pg_catalog.lower(n.nspname), pg_catalog.lower($1)) > 1, n.nspname
LIMIT 101
