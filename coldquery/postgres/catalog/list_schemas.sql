-- Which schemas are there, and how much is in each? $1: only this one; $2: only those whose name or comment is LIKE this;
-- $3, $4: how many, after how many; $5: with what its tables take on disk, which costs a look at each file.
-- The first row is about all of them, each further one has 50 of them. Without $1 or $2 those of the system are left out.
WITH matching AS (
    SELECT n.oid, n.nspname AS name, (
        SELECT cd.description FROM pg_catalog.pg_description AS cd
        WHERE cd.objoid = n.oid AND cd.classoid = 'pg_catalog.pg_namespace'::pg_catalog.regclass AND cd.objsubid = 0
    ) AS comment
    FROM pg_catalog.pg_namespace AS n
    WHERE n.nspname !~ '^pg_(toast|temp_)'
      AND ($1::text IS NULL OR n.nspname = $1)
      AND ($2::text IS NULL OR n.nspname ILIKE $2 OR (
        SELECT cd.description FROM pg_catalog.pg_description AS cd
        WHERE cd.objoid = n.oid AND cd.classoid = 'pg_catalog.pg_namespace'::pg_catalog.regclass AND cd.objsubid = 0
    ) ILIKE $2)
      AND ($1 IS NOT NULL OR $2 IS NOT NULL OR n.nspname NOT IN ('pg_catalog', 'information_schema'))
), page AS MATERIALIZED (
    SELECT m.*, pg_catalog.row_number() OVER (ORDER BY m.name) AS place
    FROM (SELECT * FROM matching ORDER BY name LIMIT $3::bigint OFFSET $4::bigint) AS m
), relations AS (
    SELECT c.relnamespace AS schema,
           pg_catalog.count(*) FILTER (WHERE c.relkind IN ('r', 'p', 'f') AND NOT c.relispartition) AS tables,
           pg_catalog.count(*) FILTER (WHERE c.relkind IN ('r', 'p', 'f') AND c.relispartition) AS partitions,
           pg_catalog.count(*) FILTER (WHERE c.relkind = 'v') AS views,
           pg_catalog.count(*) FILTER (WHERE c.relkind = 'm') AS materialized_views,
           pg_catalog.count(*) FILTER (WHERE c.relkind = 'S') AS sequences,
           pg_catalog.count(*) FILTER (WHERE c.relkind IN ('i', 'I') AND NOT c.relispartition) AS indexes,
           -- A table that somebody else locks exclusively, or waits to, would make this wait as well.
           pg_catalog.sum(pg_catalog.pg_total_relation_size(c.oid)) FILTER (
               WHERE $5::boolean AND c.relkind IN ('r', 'm')
                 AND c.oid NOT IN (
                     SELECT l.relation FROM pg_catalog.pg_locks AS l
                     WHERE l.mode = 'AccessExclusiveLock' AND l.relation IS NOT NULL
                       AND l.database = (
                           SELECT d.oid FROM pg_catalog.pg_database AS d WHERE d.datname = pg_catalog.current_database()
                       )
                       AND l.pid <> pg_catalog.pg_backend_pid()
                 )
           ) AS size_bytes
    FROM pg_catalog.pg_class AS c
    WHERE c.relnamespace IN (SELECT p.oid FROM page AS p)
    GROUP BY 1
), functions AS (
    SELECT f.pronamespace AS schema, pg_catalog.count(*) AS functions FROM pg_catalog.pg_proc AS f
    WHERE f.pronamespace IN (SELECT p.oid FROM page AS p)
    GROUP BY 1
), types AS (
    SELECT t.typnamespace AS schema, pg_catalog.count(*) AS types
    FROM pg_catalog.pg_type AS t
    LEFT JOIN pg_catalog.pg_class AS c ON c.oid = t.typrelid
    WHERE t.typnamespace IN (SELECT p.oid FROM page AS p)
      AND t.typtype <> 'm' AND t.typcategory <> 'A' AND (t.typrelid = 0 OR c.relkind = 'c')
    GROUP BY 1
)
SELECT 0 AS number, NULL::oid[] AS oids, pg_catalog.json_build_object(
    'total', (SELECT pg_catalog.count(*) FROM matching)
) AS items
UNION ALL
SELECT (p.place - 1) / 50 + 1, pg_catalog.array_agg(p.oid ORDER BY p.place),
       pg_catalog.json_strip_nulls(pg_catalog.json_agg(pg_catalog.json_build_object(
    'name', pg_catalog.quote_ident(p.name),
    'tables', nullif(r.tables, 0), 'partitions', nullif(r.partitions, 0), 'views', nullif(r.views, 0),
    'materialized_views', nullif(r.materialized_views, 0), 'sequences', nullif(r.sequences, 0),
    'indexes', nullif(r.indexes, 0), 'functions', f.functions, 'types', t.types,
    'size_bytes', r.size_bytes, 'comment', pg_catalog.left(p.comment, 301)
) ORDER BY p.place))
FROM page AS p
LEFT JOIN relations AS r ON r.schema = p.oid
LEFT JOIN functions AS f ON f.schema = p.oid
LEFT JOIN types AS t ON t.schema = p.oid
GROUP BY 1
ORDER BY 1
