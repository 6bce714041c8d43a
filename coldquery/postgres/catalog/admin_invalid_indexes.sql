-- Which indexes of what $1 (table, index or schema) and its oid $2 name are invalid, as a REINDEX CONCURRENTLY that
-- failed leaves them?
SELECT pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.relname) AS name
FROM pg_catalog.pg_index AS i
JOIN pg_catalog.pg_class AS c ON c.oid = i.indexrelid
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE NOT i.indisvalid AND c.relkind = 'i' AND c.relname ~ '_cc(new|old)\d*$' AND CASE $1::text
    WHEN 'table' THEN i.indrelid = $2::oid OR i.indrelid IN (SELECT relid FROM pg_catalog.pg_partition_tree($2::oid))
    WHEN 'index' THEN i.indrelid = (SELECT o.indrelid FROM pg_catalog.pg_index AS o WHERE o.indexrelid = $2::oid)
    WHEN 'schema' THEN c.relnamespace = $2::oid
END
ORDER BY 1
LIMIT 20
