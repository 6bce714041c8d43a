-- Which tables, views and the like in schema $1 have a name that holds $2, in any case? At most 101, those that begin
-- with it first; partitions are left to their parent.
SELECT c.relname::text AS name
FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = $1::text
  AND c.relkind IN ('r', 'v', 'm', 'f', 'p')
  AND NOT c.relispartition
  AND pg_catalog.strpos(pg_catalog.lower(c.relname), pg_catalog.lower($2::text)) > 0
ORDER BY pg_catalog.strpos(pg_catalog.lower(c.relname), pg_catalog.lower($2)) > 1, c.relname
LIMIT 101
