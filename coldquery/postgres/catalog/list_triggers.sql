-- Which triggers are there? $1: on tables of this schema; $2: only those whose name or comment is LIKE this, or whose
-- table's name is; $3, $4: how many, after how many. The first row is about all of them, the others are one for each.
-- What foreign keys are held by is left out, and so is what a partition has from its parent.
WITH matching AS MATERIALIZED (
    SELECT t.oid, n.nspname AS schema, c.relname AS table, t.tgname AS name
    FROM pg_catalog.pg_trigger AS t
    JOIN pg_catalog.pg_class AS c ON c.oid = t.tgrelid
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    WHERE NOT t.tgisinternal AND t.tgparentid = 0
      AND ($1::text IS NULL OR n.nspname = $1)
      AND ($2::text IS NULL OR t.tgname ILIKE $2 OR c.relname ILIKE $2
           OR (
        SELECT cd.description FROM pg_catalog.pg_description AS cd
        WHERE cd.objoid = t.oid AND cd.classoid = 'pg_catalog.pg_trigger'::pg_catalog.regclass AND cd.objsubid = 0
    ) ILIKE $2)
), page AS MATERIALIZED (
    SELECT m.* FROM matching AS m ORDER BY m.schema, m.table, m.name LIMIT $3::bigint OFFSET $4::bigint
)
SELECT 0 AS place, NULL::name AS schema, NULL::name AS table, NULL::name AS name, NULL::oid AS oid,
       pg_catalog.json_build_object(
    'total', (SELECT pg_catalog.count(*) FROM matching),
    'schemas', (SELECT pg_catalog.count(DISTINCT m.schema) FROM matching AS m),
    'by_schema', (
        SELECT pg_catalog.json_object_agg(pg_catalog.quote_ident(s.schema), s.count ORDER BY s.count DESC, s.schema)
        FROM (
            SELECT m.schema, pg_catalog.count(*) FROM matching AS m GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 30
        ) AS s
    )
) AS item
UNION ALL
SELECT 1, p.schema, p.table, p.name, p.oid, pg_catalog.json_strip_nulls(pg_catalog.json_build_object(
    'name', pg_catalog.quote_ident(p.name),
    'table', pg_catalog.format('%I.%I', p.schema, p.table),
    -- https://www.postgresql.org/docs/current/catalog-pg-trigger.html: the bits of tgtype are TRIGGER_TYPE_*
    'timing', CASE WHEN t.tgtype & 64 <> 0 THEN 'instead of' WHEN t.tgtype & 2 <> 0 THEN 'before' ELSE 'after' END,
    'events', pg_catalog.concat_ws(
        ' or ', CASE WHEN t.tgtype & 4 <> 0 THEN 'insert' END, CASE WHEN t.tgtype & 8 <> 0 THEN 'delete' END,
        CASE WHEN t.tgtype & 16 <> 0 THEN 'update' END, CASE WHEN t.tgtype & 32 <> 0 THEN 'truncate' END
    ),
    'for_each', CASE WHEN t.tgtype & 1 <> 0 THEN 'row' ELSE 'statement' END,
    'function', pg_catalog.format('%I.%I', fn.nspname, f.proname),
    'enabled', CASE t.tgenabled WHEN 'D' THEN 'never' WHEN 'R' THEN 'on replicas' WHEN 'A' THEN 'always' END,
    'comment', pg_catalog.left((
        SELECT cd.description FROM pg_catalog.pg_description AS cd
        WHERE cd.objoid = p.oid AND cd.classoid = 'pg_catalog.pg_trigger'::pg_catalog.regclass AND cd.objsubid = 0
    ), 301)
))
FROM page AS p
JOIN pg_catalog.pg_trigger AS t ON t.oid = p.oid
JOIN pg_catalog.pg_proc AS f ON f.oid = t.tgfoid
JOIN pg_catalog.pg_namespace AS fn ON fn.oid = f.pronamespace
ORDER BY 1, 2, 3, 4
