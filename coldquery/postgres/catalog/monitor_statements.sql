-- Which statements of this database cost most, by $1: total, mean, calls, rows or io? The first $2. The extension's
-- schema is `public` here, and the real one where this is asked. Its columns of I/O times have other names since 1.11.
SELECT t.calls, t.total_exec_time AS total_ms, t.mean_exec_time AS mean_ms, t.max_exec_time AS max_ms, t.rows,
       t.shared_blks_hit AS blocks_hit, t.shared_blks_read AS blocks_read, t.shared_blks_written AS blocks_written,
       t.temp_blks_read + t.temp_blks_written AS temp_blocks,
       coalesce(j.t ->> 'shared_blk_read_time', j.t ->> 'blk_read_time')::float8
           + coalesce(j.t ->> 'shared_blk_write_time', j.t ->> 'blk_write_time')::float8 AS io_ms,
       t.share, r.rolname::text AS user, t.query, t.queryid IS NULL AS hidden,
       i.stats_reset AS since, i.dealloc AS forgotten
FROM (
    SELECT s.*, s.total_exec_time / nullif(pg_catalog.sum(s.total_exec_time) OVER (), 0) AS share
    FROM public.pg_stat_statements AS s
    WHERE s.dbid = (SELECT d.oid FROM pg_catalog.pg_database AS d WHERE d.datname = pg_catalog.current_database())
    ORDER BY CASE $1::text
        WHEN 'mean' THEN s.mean_exec_time WHEN 'calls' THEN s.calls WHEN 'rows' THEN s.rows
        WHEN 'io' THEN s.shared_blks_read + s.shared_blks_written + s.local_blks_read + s.local_blks_written
            + s.temp_blks_read + s.temp_blks_written
        ELSE s.total_exec_time END DESC
    LIMIT $2::int
) AS t
CROSS JOIN LATERAL (SELECT pg_catalog.to_jsonb(t) AS t) AS j
CROSS JOIN public.pg_stat_statements_info AS i
LEFT JOIN pg_catalog.pg_roles AS r ON r.oid = t.userid
ORDER BY CASE $1::text
    WHEN 'mean' THEN t.mean_exec_time WHEN 'calls' THEN t.calls WHEN 'rows' THEN t.rows
    WHEN 'io' THEN t.shared_blks_read + t.shared_blks_written + t.local_blks_read + t.local_blks_written
        + t.temp_blks_read + t.temp_blks_written
    ELSE t.total_exec_time END DESC
