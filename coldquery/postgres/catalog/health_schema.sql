-- What in the definitions of this database is unfinished or needless? One row, and in it one value for each check:
-- indexes that are not valid, that nobody uses, that others make needless; constraints that hold for new rows only.
WITH indexes AS MATERIALIZED (
    SELECT i.*, pg_catalog.format('%I.%I', n.nspname, x.relname) AS name,
           pg_catalog.format('%I.%I', tn.nspname, t.relname) AS table_name,
           x.relam, x.relkind, x.relpages::bigint * pg_catalog.current_setting('block_size')::int AS bytes,
           -- A foreign key names the index that it relies on, too.
           i.indisreplident OR EXISTS (
               SELECT FROM pg_catalog.pg_constraint AS c WHERE c.conindid = i.indexrelid
           ) AS is_held
    FROM pg_catalog.pg_index AS i
    JOIN pg_catalog.pg_class AS x ON x.oid = i.indexrelid
    JOIN pg_catalog.pg_namespace AS n ON n.oid = x.relnamespace
    JOIN pg_catalog.pg_class AS t ON t.oid = i.indrelid
    JOIN pg_catalog.pg_namespace AS tn ON tn.oid = t.relnamespace
    WHERE NOT pg_catalog.starts_with(n.nspname, 'pg_') AND n.nspname <> 'information_schema'
), twins AS (
    SELECT table_name, (pg_catalog.array_agg(name ORDER BY worth DESC, name))[1] AS keep,
           pg_catalog.array_agg(name ORDER BY name) FILTER (WHERE NOT is_held) AS not_held,
           pg_catalog.sum(bytes) FILTER (WHERE NOT is_held) - CASE WHEN pg_catalog.bool_or(is_held) THEN 0
               ELSE (pg_catalog.array_agg(bytes ORDER BY worth DESC, name))[1] END AS bytes
    FROM indexes
    CROSS JOIN LATERAL (SELECT indisprimary::int * 4 + is_held::int * 2 + indisunique::int AS worth) AS w
    WHERE indisvalid AND relkind = 'i'
    GROUP BY table_name, indrelid, relam, indkey::text, indnkeyatts, indclass::text, indcollation::text,
             indoption::text, indexprs::text, indpred::text
    -- Two constraints of the same columns may each have a reason; an index that is not unique has none beside another.
    HAVING pg_catalog.count(*) > 1 AND pg_catalog.bool_or(NOT is_held)
       -- Unique ones that take NULL differently are not the same.
       AND pg_catalog.count(DISTINCT indnullsnotdistinct) FILTER (WHERE indisunique) <= 1
)
SELECT
    (
        SELECT coalesce(pg_catalog.jsonb_agg(pg_catalog.to_jsonb(i)), '[]') FROM (
            SELECT name, table_name AS table, indisunique AS unique, relkind = 'I' AS partitioned FROM indexes
            WHERE NOT (indisvalid AND indisready) AND NOT EXISTS (
                SELECT FROM pg_catalog.pg_stat_progress_create_index AS p WHERE p.index_relid = indexrelid
            ) ORDER BY 1 LIMIT 20
        ) AS i
    ) AS invalid_indexes,
    pg_catalog.jsonb_build_object(
        'since', (SELECT stats_reset::date FROM pg_catalog.pg_stat_database
                  WHERE datname = pg_catalog.current_database()),
        'count', pg_catalog.count(*), 'bytes', coalesce(pg_catalog.sum(bytes), 0)::bigint,
        'indexes', coalesce(
            pg_catalog.jsonb_agg(
                pg_catalog.jsonb_build_object('name', name, 'table', table_name, 'bytes', bytes) ORDER BY place
            ) FILTER (WHERE place <= 20), '[]'
        )
    ) AS unused_indexes,
    (
        SELECT coalesce(pg_catalog.jsonb_agg(pg_catalog.to_jsonb(t)), '[]') FROM (
            SELECT table_name AS table, keep, pg_catalog.array_remove(not_held, keep) AS needless,
                   bytes::bigint AS bytes
            FROM twins ORDER BY 4 DESC, 1 LIMIT 20
        ) AS t
    ) AS duplicate_indexes,
    (
        SELECT coalesce(pg_catalog.jsonb_agg(pg_catalog.to_jsonb(c)), '[]') FROM (
            SELECT pg_catalog.format('%I.%I', n.nspname, t.relname) AS table, c.conname AS name,
                   CASE c.contype WHEN 'f' THEN 'foreign key' WHEN 'c' THEN 'check' ELSE 'not null' END AS kind
            FROM pg_catalog.pg_constraint AS c
            JOIN pg_catalog.pg_class AS t ON t.oid = c.conrelid
            JOIN pg_catalog.pg_namespace AS n ON n.oid = t.relnamespace
            -- One that is NOT ENFORCED (PostgreSQL 18) is not meant to hold.
            WHERE NOT c.convalidated AND coalesce((pg_catalog.to_jsonb(c) ->> 'conenforced')::bool, true)
              AND NOT pg_catalog.starts_with(n.nspname, 'pg_')
            ORDER BY 1, 2 LIMIT 20
        ) AS c
    ) AS constraints
FROM (
    SELECT i.name, i.table_name, i.bytes, pg_catalog.row_number() OVER (ORDER BY i.bytes DESC, i.name) AS place
    FROM indexes AS i JOIN pg_catalog.pg_stat_user_indexes AS s ON s.indexrelid = i.indexrelid
    WHERE s.idx_scan = 0 AND i.indisvalid AND NOT i.indisunique AND NOT i.is_held
      AND i.bytes >= 1024 * 1024
) AS unused
