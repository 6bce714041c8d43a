-- What do these names stand for? $1 and $2 hold the schema (null: none given) and the name as PostgreSQL folds them, $3
-- and $4 the same as they were written, which is tried where the other is not found; at most so many of each.
-- For each: `class` (relation, sequence, index, function, type, trigger, schema, extension, role), `kind`, oid, full name, the argument
-- types of a function, whether the name was matched as written only (`as_written`), and whether a name without a schema
-- is on the search_path (`visible`). A name that stands for nothing has one row, with what is like it in `similar`: schema,
-- name and kind, at most 20 of a kind, best first; only those of the kind $5 if that is not null. Those of the system only
-- for a name that looks as one of theirs.
WITH wanted AS MATERIALIZED (
    SELECT w.number, w.schema::name AS schema, w.name::name AS name,
           w.written_schema::name AS written_schema, w.written::name AS written
    -- Of sub-selects, so that PostgreSQL does not count what is in them and keeps its plan.
    FROM ROWS FROM (
        pg_catalog.unnest((SELECT $1::text[])), pg_catalog.unnest((SELECT $2::text[])),
        pg_catalog.unnest((SELECT $3::text[])), pg_catalog.unnest((SELECT $4::text[]))
    ) WITH ORDINALITY AS w (schema, name, written_schema, written, number)
), found AS MATERIALIZED (
    SELECT w.number,
           CASE WHEN c.relkind = 'S' THEN 'sequence' WHEN c.relkind IN ('i', 'I') THEN 'index' ELSE 'relation' END AS class,
           CASE c.relkind WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized_view' WHEN 'S' THEN 'sequence'
                          WHEN 'i' THEN 'index' WHEN 'I' THEN 'index' ELSE 'table' END AS kind,
           c.oid, n.nspname AS schema, c.relname AS name, NULL::text AS signature,
           c.relname <> w.name OR n.nspname <> coalesce(w.schema, n.nspname) AS as_written,
           w.schema IS NOT NULL OR pg_catalog.pg_table_is_visible(c.oid) AS visible
    FROM wanted AS w
    JOIN pg_catalog.pg_class AS c ON c.relname IN (w.name, w.written) AND c.relkind NOT IN ('t', 'c')
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    WHERE w.schema IS NULL OR n.nspname IN (w.schema, w.written_schema)
    UNION ALL
    SELECT w.number, 'function', 'function', f.oid, n.nspname, f.proname, pg_catalog.oidvectortypes(f.proargtypes),
           f.proname <> w.name OR n.nspname <> coalesce(w.schema, n.nspname),
           w.schema IS NOT NULL OR pg_catalog.pg_function_is_visible(f.oid)
    FROM wanted AS w
    JOIN pg_catalog.pg_proc AS f ON f.proname IN (w.name, w.written)
    JOIN pg_catalog.pg_namespace AS n ON n.oid = f.pronamespace
    WHERE w.schema IS NULL OR n.nspname IN (w.schema, w.written_schema)
    UNION ALL
    SELECT w.number, 'type', 'type', t.oid, n.nspname, t.typname, NULL,
           t.typname <> w.name OR n.nspname <> coalesce(w.schema, n.nspname),
           w.schema IS NOT NULL OR pg_catalog.pg_type_is_visible(t.oid)
    FROM wanted AS w
    JOIN pg_catalog.pg_type AS t ON t.typname IN (w.name, w.written) AND t.typcategory <> 'A'
    JOIN pg_catalog.pg_namespace AS n ON n.oid = t.typnamespace
    LEFT JOIN pg_catalog.pg_class AS c ON c.oid = t.typrelid
    WHERE (w.schema IS NULL OR n.nspname IN (w.schema, w.written_schema)) AND (t.typrelid = 0 OR c.relkind = 'c')
    UNION ALL
    SELECT w.number, 'trigger', 'trigger', t.oid, n.nspname, t.tgname, NULL,
           t.tgname <> w.name OR n.nspname <> coalesce(w.schema, n.nspname), true
    FROM wanted AS w
    JOIN pg_catalog.pg_trigger AS t ON t.tgname IN (w.name, w.written) AND NOT t.tgisinternal AND t.tgparentid = 0
    JOIN pg_catalog.pg_class AS c ON c.oid = t.tgrelid
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    WHERE w.schema IS NULL OR n.nspname IN (w.schema, w.written_schema)
    UNION ALL
    SELECT w.number, 'schema', 'schema', n.oid, NULL, n.nspname, NULL, n.nspname <> w.name, true
    FROM wanted AS w
    JOIN pg_catalog.pg_namespace AS n ON n.nspname IN (w.name, w.written)
    WHERE w.schema IS NULL
    UNION ALL
    SELECT w.number, 'extension', 'extension', e.oid, NULL, e.extname, NULL, e.extname <> w.name, true
    FROM wanted AS w
    JOIN pg_catalog.pg_extension AS e ON e.extname IN (w.name, w.written)
    WHERE w.schema IS NULL
    UNION ALL
    SELECT w.number, 'role', 'role', r.oid, NULL, r.rolname, NULL, r.rolname <> w.name, true
    FROM wanted AS w
    JOIN pg_catalog.pg_roles AS r ON r.rolname IN (w.name, w.written)
    WHERE w.schema IS NULL
), known AS (
    -- Of what a missing name may have meant: of the kind $5, or of any.
    SELECT n.nspname AS schema, c.relname AS name, k.kind
    FROM pg_catalog.pg_class AS c
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    CROSS JOIN LATERAL (
        SELECT CASE c.relkind WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized_view' WHEN 'S' THEN 'sequence'
                              WHEN 'i' THEN 'index' WHEN 'I' THEN 'index' ELSE 'table' END AS kind
    ) AS k
    WHERE c.relkind NOT IN ('t', 'c') AND n.nspname !~ '^pg_(toast|temp_)' AND ($5::text IS NULL OR k.kind = $5)
    UNION ALL
    SELECT DISTINCT n.nspname, f.proname, 'function'
    FROM pg_catalog.pg_proc AS f JOIN pg_catalog.pg_namespace AS n ON n.oid = f.pronamespace
    WHERE $5 IS NULL OR $5 = 'function'
    UNION ALL
    SELECT n.nspname, t.typname, 'type'
    FROM pg_catalog.pg_type AS t
    JOIN pg_catalog.pg_namespace AS n ON n.oid = t.typnamespace
    LEFT JOIN pg_catalog.pg_class AS c ON c.oid = t.typrelid
    WHERE t.typtype <> 'm' AND t.typcategory <> 'A' AND (t.typrelid = 0 OR c.relkind = 'c')
      AND ($5 IS NULL OR $5 = 'type')
    UNION ALL
    SELECT DISTINCT n.nspname, t.tgname, 'trigger'
    FROM pg_catalog.pg_trigger AS t
    JOIN pg_catalog.pg_class AS c ON c.oid = t.tgrelid
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    WHERE NOT t.tgisinternal AND t.tgparentid = 0 AND ($5 IS NULL OR $5 = 'trigger')
    UNION ALL
    SELECT NULL, n.nspname, 'schema' FROM pg_catalog.pg_namespace AS n
    WHERE n.nspname !~ '^pg_(toast|temp_)' AND ($5 IS NULL OR $5 = 'schema')
    UNION ALL
    SELECT NULL, e.extname, 'extension' FROM pg_catalog.pg_extension AS e WHERE $5 IS NULL OR $5 = 'extension'
    UNION ALL
    SELECT NULL, r.rolname, 'role' FROM pg_catalog.pg_roles AS r WHERE $5 IS NULL OR $5 = 'role'
)
SELECT f.number, f.class, f.kind, f.oid::bigint AS oid, f.schema::text AS schema, f.name::text AS name, f.signature,
       f.as_written, f.visible, NULL::json AS similar
FROM (
    SELECT f.*, pg_catalog.row_number() OVER (
        PARTITION BY f.number, f.class ORDER BY f.visible DESC, f.as_written, f.schema, f.oid
    ) AS place
    FROM found AS f
) AS f
WHERE f.place <= 21
UNION ALL
SELECT w.number, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, s.similar
FROM wanted AS w
CROSS JOIN LATERAL (
    SELECT pg_catalog.json_agg(
        pg_catalog.json_build_array(near.schema, near.name, near.kind) ORDER BY near.place, near.kind
    ) AS similar
    FROM (
        SELECT k.schema, k.name, k.kind, pg_catalog.row_number() OVER (
            PARTITION BY k.kind
            ORDER BY pairs.shared DESC,
                     pg_catalog.abs(pg_catalog.length(k.name::text) - pg_catalog.length(w.name::text)), k.schema, k.name
        ) AS place
        FROM known AS k
        CROSS JOIN LATERAL (
            SELECT pg_catalog.count(*) AS shared
            FROM pg_catalog.generate_series(1, greatest(pg_catalog.length(w.name::text) - 1, 1)) AS i
            WHERE pg_catalog.strpos(
                pg_catalog.lower(k.name), pg_catalog.substr(pg_catalog.lower(w.name), i, 2)
            ) > 0
        ) AS pairs
        WHERE pairs.shared > 0
          AND (w.name LIKE 'pg\_%' OR coalesce(k.schema NOT IN ('pg_catalog', 'information_schema'), true))
    ) AS near
    WHERE near.place <= 20
) AS s
WHERE w.number NOT IN (SELECT f.number FROM found AS f)
ORDER BY 1, 2, 9 DESC, 8, 5, 4
