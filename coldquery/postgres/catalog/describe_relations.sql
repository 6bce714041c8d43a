-- Everything about these tables and views, by their oids in $1: one JSON object each. A list holds
-- one more than is told (CAPS in describing.py), by which it is known to be cut; counts are whole.
WITH RECURSIVE wanted AS MATERIALIZED (
    SELECT w.oid::pg_catalog.oid AS oid, w.number
    FROM pg_catalog.unnest($1::bigint[]) WITH ORDINALITY AS w (oid, number)
), members AS (
    -- Each itself, and the partitions of those that have any, all the way down.
    SELECT w.oid AS root, w.oid AS member FROM wanted AS w
    UNION ALL
    SELECT m.root, i.inhrelid
    FROM members AS m
    JOIN pg_catalog.pg_class AS c ON c.oid = m.member AND c.relkind = 'p'
    JOIN pg_catalog.pg_inherits AS i ON i.inhparent = m.member
), locked AS MATERIALIZED (
    -- To measure these would mean to wait for somebody else.
    SELECT l.relation FROM pg_catalog.pg_locks AS l
    WHERE l.mode = 'AccessExclusiveLock' AND l.relation IS NOT NULL
      AND l.database = (SELECT d.oid FROM pg_catalog.pg_database AS d WHERE d.datname = pg_catalog.current_database())
      AND l.pid <> pg_catalog.pg_backend_pid()
), sums AS (
    SELECT m.root,
           pg_catalog.count(*) FILTER (WHERE m.member <> m.root AND c.relkind <> 'p') AS partitions,
           pg_catalog.sum(c.reltuples) FILTER (WHERE c.relkind IN ('r', 'm', 'f') AND c.reltuples >= 0) AS rows,
           pg_catalog.sum(pg_catalog.pg_relation_size(c.oid)) FILTER (WHERE f.measured) AS main_bytes,
           pg_catalog.sum(pg_catalog.pg_table_size(c.oid)) FILTER (WHERE f.measured) AS table_bytes,
           pg_catalog.sum(pg_catalog.pg_indexes_size(c.oid)) FILTER (WHERE f.measured) AS index_bytes
    FROM members AS m
    JOIN pg_catalog.pg_class AS c ON c.oid = m.member
    CROSS JOIN LATERAL (
        SELECT c.relkind IN ('r', 'm') AND c.oid NOT IN (SELECT l.relation FROM locked AS l) AS measured
    ) AS f
    GROUP BY 1
)
SELECT pg_catalog.json_strip_nulls(pg_catalog.json_build_object(
    'name', pg_catalog.format('%I.%I', n.nspname, c.relname),
    'kind', CASE c.relkind WHEN 'r' THEN 'table' WHEN 'p' THEN 'partitioned table' WHEN 'f' THEN 'foreign table'
                           WHEN 'v' THEN 'view' ELSE 'materialized view' END,
    'comment', pg_catalog.left((
        SELECT cd.description FROM pg_catalog.pg_description AS cd
        WHERE cd.objoid = c.oid AND cd.classoid = 'pg_catalog.pg_class'::pg_catalog.regclass AND cd.objsubid = 0
    ), 2001),
    'persistence', CASE c.relpersistence WHEN 'u' THEN 'unlogged' WHEN 't' THEN 'temporary' END,
    'owner', pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(c.relowner)),
    'of_type', CASE WHEN c.reloftype <> 0 THEN pg_catalog.format_type(c.reloftype, NULL) END,
    'options', c.reloptions,
    'rows', s.rows::bigint,
    'size_bytes', CASE WHEN s.main_bytes IS NOT NULL THEN pg_catalog.json_build_object(
        'total', s.table_bytes + s.index_bytes, 'main', s.main_bytes,
        'toast_and_maps', s.table_bytes - s.main_bytes, 'indexes', s.index_bytes
    ) END,
    'unpopulated', nullif(NOT c.relispopulated, false),
    'columns', (
        SELECT pg_catalog.json_agg(pg_catalog.json_build_object(
            'name', pg_catalog.quote_ident(a.attname),
            'type', pg_catalog.format_type(a.atttypid, a.atttypmod),
            'not_null', nullif(a.attnotnull, false),
            'default', CASE WHEN a.attgenerated = '' THEN d.expression END,
            'generated', CASE WHEN a.attgenerated <> '' THEN d.expression END,
            'virtual', nullif(a.attgenerated = 'v', false),
            'identity', CASE a.attidentity WHEN 'a' THEN 'always' WHEN 'd' THEN 'by default' END,
            'collation', (
                SELECT pg_catalog.quote_ident(o.collname) FROM pg_catalog.pg_collation AS o
                WHERE o.oid = a.attcollation AND a.attcollation <> t.typcollation
            ),
            'domain_of', CASE WHEN t.typtype = 'd' THEN pg_catalog.format_type(t.typbasetype, t.typtypmod) END,
            'labels', CASE WHEN t.typtype = 'e' THEN (
                SELECT pg_catalog.json_agg(e.enumlabel ORDER BY e.enumsortorder)
                FROM (
                    SELECT e.enumlabel, e.enumsortorder FROM pg_catalog.pg_enum AS e
                    WHERE e.enumtypid = t.oid ORDER BY e.enumsortorder LIMIT 21
                ) AS e
            ) END,
            'inherited', nullif(a.attinhcount > 0 AND NOT c.relispartition, false),
            'comment', pg_catalog.left((
                SELECT cd.description FROM pg_catalog.pg_description AS cd
                WHERE cd.objoid = a.attrelid AND cd.classoid = 'pg_catalog.pg_class'::pg_catalog.regclass AND cd.objsubid = a.attnum
            ), 501)
        ) ORDER BY a.attnum)
        FROM pg_catalog.pg_attribute AS a
        JOIN pg_catalog.pg_type AS t ON t.oid = a.atttypid
        LEFT JOIN LATERAL (
            SELECT pg_catalog.left(pg_catalog.pg_get_expr(x.adbin, x.adrelid), 1001) AS expression
            FROM pg_catalog.pg_attrdef AS x
            WHERE x.adrelid = a.attrelid AND x.adnum = a.attnum AND a.atthasdef
        ) AS d ON true
        WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    ),
    'primary_key', (
        SELECT pg_catalog.json_agg(pg_catalog.quote_ident(a.attname) ORDER BY k.place)
        FROM pg_catalog.pg_constraint AS o
        CROSS JOIN pg_catalog.unnest(o.conkey) WITH ORDINALITY AS k (number, place)
        JOIN pg_catalog.pg_attribute AS a ON a.attrelid = o.conrelid AND a.attnum = k.number
        WHERE o.conrelid = c.oid AND o.contype = 'p'
    ),
    'constraints', (
        SELECT pg_catalog.json_agg(pg_catalog.json_build_object(
            'name', pg_catalog.quote_ident(o.conname),
            'definition', pg_catalog.left(pg_catalog.pg_get_constraintdef(o.oid, true), 1001),
            'comment', pg_catalog.left((
        SELECT cd.description FROM pg_catalog.pg_description AS cd
        WHERE cd.objoid = o.oid AND cd.classoid = 'pg_catalog.pg_constraint'::pg_catalog.regclass AND cd.objsubid = 0
    ), 501)
        ) ORDER BY o.contype, o.conname)
        FROM (
            SELECT o.* FROM pg_catalog.pg_constraint AS o
            WHERE o.conrelid = c.oid AND o.contype IN ('u', 'c', 'x') ORDER BY o.contype, o.conname LIMIT 51
        ) AS o
    ),
    'foreign_keys', (
        SELECT pg_catalog.json_agg(pg_catalog.json_build_object(
            'name', pg_catalog.quote_ident(o.conname),
            'table', pg_catalog.format('%I.%I', rn.nspname, r.relname),
            'definition', pg_catalog.pg_get_constraintdef(o.oid, true)
        ) ORDER BY o.conname)
        FROM (
            SELECT o.* FROM pg_catalog.pg_constraint AS o
            -- A key to a partitioned table has one more row here for each of that one's partitions.
            WHERE o.conrelid = c.oid AND o.contype = 'f' AND NOT EXISTS (
                SELECT FROM pg_catalog.pg_constraint AS up WHERE up.oid = o.conparentid AND up.conrelid = o.conrelid
            )
            ORDER BY o.conname LIMIT 51
        ) AS o
        JOIN pg_catalog.pg_class AS r ON r.oid = o.confrelid
        JOIN pg_catalog.pg_namespace AS rn ON rn.oid = r.relnamespace
    ),
    'referenced_by', (
        SELECT pg_catalog.json_agg(pg_catalog.json_build_object(
            'table', pg_catalog.format('%I.%I', o.nspname, o.relname),
            'name', pg_catalog.quote_ident(o.conname),
            'definition', pg_catalog.pg_get_constraintdef(o.oid, true)
        ) ORDER BY o.nspname, o.relname, o.conname)
        FROM (
            SELECT o.oid, o.conname, r.relname, rn.nspname
            FROM pg_catalog.pg_constraint AS o
            JOIN pg_catalog.pg_class AS r ON r.oid = o.conrelid
            JOIN pg_catalog.pg_namespace AS rn ON rn.oid = r.relnamespace
            WHERE o.confrelid = c.oid AND o.contype = 'f' AND o.conparentid = 0
            ORDER BY rn.nspname, r.relname, o.conname LIMIT 51
        ) AS o
    ),
    'indexes', (
        SELECT pg_catalog.json_agg(pg_catalog.json_build_object(
            'name', pg_catalog.quote_ident(i.relname),
            'definition', pg_catalog.left(pg_catalog.substr(
                i.definition, pg_catalog.strpos(i.definition, ' USING ' || i.amname || ' (') + 7
            ), 1001),
            'primary', nullif(i.indisprimary, false),
            'unique', nullif(i.indisunique AND NOT i.indisprimary, false),
            'invalid', nullif(NOT i.indisvalid, false),
            'size_bytes', CASE WHEN i.relkind = 'i' AND i.oid NOT IN (SELECT l.relation FROM locked AS l)
                               THEN pg_catalog.pg_relation_size(i.oid) END,
            'scans', i.scans,
            'comment', pg_catalog.left((
        SELECT cd.description FROM pg_catalog.pg_description AS cd
        WHERE cd.objoid = i.oid AND cd.classoid = 'pg_catalog.pg_class'::pg_catalog.regclass AND cd.objsubid = 0
    ), 501)
        ) ORDER BY i.indisprimary DESC, i.relname)
        FROM (
            SELECT x.oid, x.relname, x.relkind, am.amname, i.indisprimary, i.indisunique, i.indisvalid,
                   pg_catalog.pg_get_indexdef(x.oid) AS definition,
                   CASE WHEN x.relkind = 'i' THEN pg_catalog.pg_stat_get_numscans(x.oid) END AS scans
            FROM pg_catalog.pg_index AS i
            JOIN pg_catalog.pg_class AS x ON x.oid = i.indexrelid
            JOIN pg_catalog.pg_am AS am ON am.oid = x.relam
            WHERE i.indrelid = c.oid
            ORDER BY i.indisprimary DESC, x.relname LIMIT 51
        ) AS i
    ),
    'triggers', (
        SELECT pg_catalog.json_agg(pg_catalog.json_build_object(
            'name', pg_catalog.quote_ident(t.tgname),
            'definition', pg_catalog.left(pg_catalog.pg_get_triggerdef(t.oid, true), 1001),
            'enabled', CASE t.tgenabled WHEN 'D' THEN 'never' WHEN 'R' THEN 'on replicas' WHEN 'A' THEN 'always' END,
            'comment', pg_catalog.left((
        SELECT cd.description FROM pg_catalog.pg_description AS cd
        WHERE cd.objoid = t.oid AND cd.classoid = 'pg_catalog.pg_trigger'::pg_catalog.regclass AND cd.objsubid = 0
    ), 501)
        ) ORDER BY t.tgname)
        FROM (
            SELECT t.* FROM pg_catalog.pg_trigger AS t
            WHERE t.tgrelid = c.oid AND NOT t.tgisinternal ORDER BY t.tgname LIMIT 51
        ) AS t
    ),
    'row_security', CASE WHEN c.relforcerowsecurity AND c.relrowsecurity THEN 'on, for the owner too'
                         WHEN c.relrowsecurity THEN 'on' END,
    'policies', (
        SELECT pg_catalog.json_agg(pg_catalog.json_build_object(
            'name', pg_catalog.quote_ident(p.polname),
            'command', CASE p.polcmd WHEN 'r' THEN 'select' WHEN 'a' THEN 'insert' WHEN 'w' THEN 'update'
                                     WHEN 'd' THEN 'delete' ELSE 'all' END,
            'restrictive', nullif(NOT p.polpermissive, false),
            'roles', CASE WHEN p.polroles <> '{0}' THEN (
                SELECT pg_catalog.json_agg(pg_catalog.quote_ident(r.rolname) ORDER BY r.rolname)
                FROM pg_catalog.pg_roles AS r WHERE r.oid = ANY (p.polroles)
            ) END,
            'using', pg_catalog.left(pg_catalog.pg_get_expr(p.polqual, p.polrelid), 1001),
            'check', pg_catalog.left(pg_catalog.pg_get_expr(p.polwithcheck, p.polrelid), 1001)
        ) ORDER BY p.polname)
        FROM (
            SELECT p.* FROM pg_catalog.pg_policy AS p WHERE p.polrelid = c.oid ORDER BY p.polname LIMIT 51
        ) AS p
    ),
    'partition_of', CASE WHEN c.relispartition THEN (
        SELECT pg_catalog.json_build_object(
            'name', pg_catalog.format('%I.%I', un.nspname, u.relname),
            'bounds', pg_catalog.left(pg_catalog.pg_get_expr(c.relpartbound, c.oid), 1001)
        )
        FROM pg_catalog.pg_inherits AS i
        JOIN pg_catalog.pg_class AS u ON u.oid = i.inhparent
        JOIN pg_catalog.pg_namespace AS un ON un.oid = u.relnamespace
        WHERE i.inhrelid = c.oid
    ) END,
    'partitioned_by', CASE WHEN c.relkind = 'p' THEN pg_catalog.pg_get_partkeydef(c.oid) END,
    'partition_count', CASE WHEN c.relkind = 'p' THEN s.partitions END,
    'partitions', CASE WHEN c.relkind = 'p' THEN (
        SELECT pg_catalog.json_agg(pg_catalog.json_build_object(
            'name', pg_catalog.format('%I.%I', i.nspname, i.relname),
            'bounds', pg_catalog.left(pg_catalog.pg_get_expr(i.relpartbound, i.oid), 1001),
            'partitioned_by', CASE WHEN i.relkind = 'p' THEN pg_catalog.pg_get_partkeydef(i.oid) END,
            'rows', CASE WHEN i.reltuples >= 0 AND i.relkind <> 'p' THEN i.reltuples::bigint END
        ) ORDER BY i.nspname, i.relname)
        FROM (
            SELECT x.oid, x.relname, x.relkind, x.relpartbound, x.reltuples, xn.nspname
            FROM pg_catalog.pg_inherits AS i
            JOIN pg_catalog.pg_class AS x ON x.oid = i.inhrelid
            JOIN pg_catalog.pg_namespace AS xn ON xn.oid = x.relnamespace
            WHERE i.inhparent = c.oid
            ORDER BY xn.nspname, x.relname LIMIT 21
        ) AS i
    ) END,
    'inherits', CASE WHEN NOT c.relispartition AND c.relkind IN ('r', 'f') THEN (
        SELECT pg_catalog.json_agg(pg_catalog.format('%I.%I', un.nspname, u.relname) ORDER BY i.inhseqno)
        FROM pg_catalog.pg_inherits AS i
        JOIN pg_catalog.pg_class AS u ON u.oid = i.inhparent
        JOIN pg_catalog.pg_namespace AS un ON un.oid = u.relnamespace
        WHERE i.inhrelid = c.oid
    ) END,
    'inherited_by', CASE WHEN c.relkind IN ('r', 'f') THEN (
        SELECT pg_catalog.json_agg(i.name ORDER BY i.name)
        FROM (
            SELECT pg_catalog.format('%I.%I', xn.nspname, x.relname) AS name
            FROM pg_catalog.pg_inherits AS i
            JOIN pg_catalog.pg_class AS x ON x.oid = i.inhrelid
            JOIN pg_catalog.pg_namespace AS xn ON xn.oid = x.relnamespace
            WHERE i.inhparent = c.oid
            ORDER BY 1 LIMIT 51
        ) AS i
    ) END,
    'definition', CASE WHEN c.relkind IN ('v', 'm') THEN
        pg_catalog.left(pg_catalog.pg_get_viewdef(c.oid, true), 10001)
    END,
    'foreign', (
        SELECT pg_catalog.json_build_object('server', pg_catalog.quote_ident(v.srvname))
        FROM pg_catalog.pg_foreign_table AS f
        JOIN pg_catalog.pg_foreign_server AS v ON v.oid = f.ftserver
        WHERE f.ftrelid = c.oid
    )
)) AS item
FROM wanted AS w
JOIN pg_catalog.pg_class AS c ON c.oid = w.oid
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
JOIN sums AS s ON s.root = c.oid
ORDER BY w.number
