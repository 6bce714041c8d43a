-- How are the tables and sequences of this database? One row, and in it one value for each check: dead rows, what
-- autovacuum leaves undone, estimated bloat, sequences near their end. At most ten items each, the worst first.
-- The estimate of bloat reads no table: how many pages would the rows need that ANALYZE has counted, at the width it
-- has seen? It knows no table without statistics, or whose columns the role may not read. 24 and 4 are a row's header
-- and pointer, 8 what rows are aligned to: https://www.postgresql.org/docs/current/storage-page-layout.html
WITH tables AS MATERIALIZED (
    SELECT pg_catalog.format('%I.%I', s.schemaname, s.relname) AS name, s.n_dead_tup AS dead, s.n_live_tup AS live,
           extract(epoch FROM pg_catalog.clock_timestamp() - greatest(s.last_vacuum, s.last_autovacuum)) / 86400
               AS vacuumed_days,
           NOT coalesce(o.enabled::bool, true) AS off,
           greatest(
               coalesce(o.threshold, pg_catalog.current_setting('autovacuum_vacuum_threshold'))::float8
               + coalesce(o.factor, pg_catalog.current_setting('autovacuum_vacuum_scale_factor'))::float8
               * greatest(c.reltuples, 0), 1
           ) AS due_at
    FROM pg_catalog.pg_stat_user_tables AS s
    JOIN pg_catalog.pg_class AS c ON c.oid = s.relid
    CROSS JOIN LATERAL (
        -- A table may have its own, in words such as 0, off and false.
        SELECT pg_catalog.max(t.option_value) FILTER (WHERE t.option_name = 'autovacuum_enabled') AS enabled,
               pg_catalog.max(t.option_value) FILTER (WHERE t.option_name = 'autovacuum_vacuum_threshold') AS threshold,
               pg_catalog.max(t.option_value) FILTER (WHERE t.option_name = 'autovacuum_vacuum_scale_factor') AS factor
        FROM pg_catalog.pg_options_to_table(c.reloptions) AS t
    ) AS o
    WHERE c.relkind IN ('r', 'm')
), large AS MATERIALIZED (
    SELECT c.oid, n.nspname, c.relname, c.relpages, c.reltuples, b.size AS block,
           coalesce((
               SELECT pg_catalog.split_part(o, '=', 2)::int FROM pg_catalog.unnest(c.reloptions) AS o
               WHERE o LIKE 'fillfactor=%'
           ), 100) AS fill
    FROM pg_catalog.pg_class AS c
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    CROSS JOIN (SELECT pg_catalog.current_setting('block_size')::int AS size) AS b
    WHERE c.relkind IN ('r', 'm') AND c.relpages::bigint * b.size >= 10 * 1024 * 1024 AND c.reltuples >= 0
      AND NOT pg_catalog.starts_with(n.nspname, 'pg_') AND n.nspname <> 'information_schema'
), bloat AS (
    SELECT pg_catalog.format('%I.%I', l.nspname, l.relname) AS name, l.relpages::bigint * l.block AS bytes,
           greatest(l.relpages - pg_catalog.ceil(
               l.reltuples * (4 + pg_catalog.ceil((24 + w.width) / 8) * 8) / ((l.block - 24) * l.fill / 100.0)
           ), 0)::bigint * l.block AS wasted
    FROM large AS l
    CROSS JOIN LATERAL (
        SELECT pg_catalog.sum(s.avg_width * (1 - s.null_frac)) AS width, pg_catalog.count(*) AS columns
        FROM pg_catalog.pg_stats AS s
        WHERE s.schemaname = l.nspname AND s.tablename = l.relname AND NOT s.inherited
    ) AS w
    WHERE w.columns = (
        SELECT pg_catalog.count(*) FROM pg_catalog.pg_attribute AS a
        WHERE a.attrelid = l.oid AND a.attnum > 0 AND NOT a.attisdropped
    )
), sequences AS MATERIALIZED (
    SELECT pg_catalog.format('%I.%I', n.nspname, c.relname) AS name, s.seqincrement AS step, s.seqmin AS least,
           CASE a.atttypid WHEN 'int2'::regtype THEN least(s.seqmax, 32767)
                WHEN 'int4'::regtype THEN least(s.seqmax, 2147483647) ELSE s.seqmax END AS most,
           pg_catalog.quote_ident(tn.nspname) || '.' || pg_catalog.quote_ident(t.relname) || '.'
               || pg_catalog.quote_ident(a.attname) AS column,
           CASE WHEN pg_catalog.has_sequence_privilege(c.oid, 'USAGE, SELECT')
                THEN pg_catalog.pg_sequence_last_value(c.oid) END AS last
    FROM pg_catalog.pg_sequence AS s
    JOIN pg_catalog.pg_class AS c ON c.oid = s.seqrelid
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    LEFT JOIN pg_catalog.pg_depend AS d ON d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.objsubid = 0
        AND d.refclassid = 'pg_class'::regclass AND d.refobjsubid > 0 AND d.deptype IN ('a', 'i')
    LEFT JOIN pg_catalog.pg_attribute AS a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
    LEFT JOIN pg_catalog.pg_class AS t ON t.oid = a.attrelid
    LEFT JOIN pg_catalog.pg_namespace AS tn ON tn.oid = t.relnamespace
    WHERE NOT s.seqcycle AND c.relpersistence <> 't'
      -- Another transaction may just be altering it: to ask for its value would wait for that.
      AND NOT EXISTS (
          SELECT FROM pg_catalog.pg_locks AS k WHERE k.relation = c.oid AND k.mode = 'AccessExclusiveLock'
      )
), used AS (
    SELECT name, last, "column", most AS end_value, CASE
        WHEN step > 0 THEN (last::numeric - least) / nullif(most::numeric - least, 0)
        ELSE (most::numeric - last) / nullif(most::numeric - least, 0)
    END::float8 AS used
    FROM sequences
)
SELECT
    (
        SELECT coalesce(pg_catalog.jsonb_agg(pg_catalog.to_jsonb(t)), '[]') FROM (
            SELECT name, dead, live, vacuumed_days FROM tables WHERE dead >= 1000
            ORDER BY dead::float8 / (dead + live) * pg_catalog.ln(dead) DESC LIMIT 10
        ) AS t
    ) AS dead_rows,
    pg_catalog.jsonb_build_object(
        'on', pg_catalog.current_setting('autovacuum')::bool AND pg_catalog.current_setting('track_counts')::bool,
        'off', (SELECT coalesce(pg_catalog.jsonb_agg(name), '[]') FROM (
            SELECT name FROM tables WHERE off ORDER BY dead DESC, name LIMIT 10) AS t),
        'overdue', (SELECT coalesce(pg_catalog.jsonb_agg(pg_catalog.to_jsonb(t)), '[]') FROM (
            SELECT name, dead, due_at::bigint AS due_at, vacuumed_days FROM tables
            WHERE dead > 2 * due_at AND dead >= 1000 ORDER BY dead / due_at DESC, name LIMIT 10) AS t)
    ) AS autovacuum,
    pg_catalog.jsonb_build_object(
        'measured', (SELECT pg_catalog.count(*) FROM bloat),
        'unknown', (SELECT pg_catalog.count(*) FROM large) - (SELECT pg_catalog.count(*) FROM bloat),
        'tables', (SELECT coalesce(pg_catalog.jsonb_agg(pg_catalog.to_jsonb(b)), '[]') FROM (
            SELECT name, bytes, wasted FROM bloat WHERE wasted > 0 ORDER BY wasted DESC, name LIMIT 10) AS b)
    ) AS bloat,
    pg_catalog.jsonb_build_object(
        'count', (SELECT pg_catalog.count(*) FROM used),
        'worst', (SELECT coalesce(pg_catalog.jsonb_agg(pg_catalog.to_jsonb(u)), '[]') FROM (
            SELECT * FROM used WHERE used IS NOT NULL ORDER BY used DESC, name LIMIT 10) AS u)
    ) AS sequences
