-- Which tables, materialized views and indexes are meant by $1, a name as SQL writes it, in schema $2 if that is given?
-- The best first: as SQL reads the name, as it stands, then along the search path. What is neither is told by its kind.
SELECT c.oid::int8 AS oid, c.relkind::text AS kind,
    pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.relname) AS name
FROM (SELECT pg_catalog.parse_ident($1::text) AS parts) AS wanted
JOIN pg_catalog.pg_class AS c ON c.relname IN (parts[pg_catalog.cardinality(parts)], $1::text)
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
CROSS JOIN LATERAL pg_catalog.array_position(pg_catalog.current_schemas(true), n.nspname) AS path (place)
WHERE CASE
    WHEN pg_catalog.cardinality(parts) = 1 AND $2::text IS NULL THEN path.place IS NOT NULL
    WHEN pg_catalog.cardinality(parts) = 1 THEN n.nspname = $2::text
    WHEN pg_catalog.cardinality(parts) = 2 THEN n.nspname = parts[1] AND n.nspname = coalesce($2::text, n.nspname)
END
ORDER BY c.relname = parts[pg_catalog.cardinality(parts)] DESC, path.place
LIMIT 1
