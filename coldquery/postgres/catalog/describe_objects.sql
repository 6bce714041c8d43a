-- Everything about these sequences, indexes, functions, types, triggers, schemas, extensions and roles: $1 says which of
-- them each is, and $2 its oid. One JSON object each. A list holds one more than is told (CAPS in describing.py), by which it is known to be cut.
WITH wanted AS MATERIALIZED (
    SELECT w.class, w.oid::pg_catalog.oid AS oid, w.number
    FROM ROWS FROM (pg_catalog.unnest($1::text[]), pg_catalog.unnest($2::bigint[])) WITH ORDINALITY
        AS w (class, oid, number)
)
SELECT w.number, pg_catalog.json_strip_nulls(pg_catalog.json_build_object(
    'name', pg_catalog.format('%I.%I', n.nspname, c.relname),
    'kind', 'sequence',
    'comment', pg_catalog.left((
        SELECT cd.description FROM pg_catalog.pg_description AS cd
        WHERE cd.objoid = c.oid AND cd.classoid = 'pg_catalog.pg_class'::pg_catalog.regclass AND cd.objsubid = 0
    ), 2001),
    'owner', pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(c.relowner)),
    'type', pg_catalog.format_type(q.seqtypid, NULL), 'start', q.seqstart, 'min', q.seqmin, 'max', q.seqmax,
    'increment', q.seqincrement, 'cache', nullif(q.seqcache, 1), 'cycle', nullif(q.seqcycle, false),
    -- pg_sequences says null to who may not read it, and the function would fail.
    'last_value', CASE WHEN pg_catalog.has_sequence_privilege(c.oid, 'USAGE, SELECT')
                       THEN pg_catalog.pg_sequence_last_value(c.oid) END,
    'owned_by', (
        SELECT pg_catalog.format('%I.%I.%I', tn.nspname, t.relname, a.attname)
        FROM pg_catalog.pg_depend AS d
        JOIN pg_catalog.pg_class AS t ON t.oid = d.refobjid
        JOIN pg_catalog.pg_namespace AS tn ON tn.oid = t.relnamespace
        JOIN pg_catalog.pg_attribute AS a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
        WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = c.oid
          AND d.refclassid = d.classid AND d.deptype IN ('a', 'i')
        LIMIT 1
    )
)) AS item
FROM wanted AS w
JOIN pg_catalog.pg_class AS c ON c.oid = w.oid
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_sequence AS q ON q.seqrelid = c.oid
WHERE w.class = 'sequence'
UNION ALL
SELECT w.number, pg_catalog.json_strip_nulls(pg_catalog.json_build_object(
    'name', pg_catalog.format('%I.%I', n.nspname, c.relname),
    'kind', CASE c.relkind WHEN 'I' THEN 'partitioned index' ELSE 'index' END,
    'table', pg_catalog.format('%I.%I', n.nspname, t.relname),  -- an index is in its table's schema
    'comment', pg_catalog.left((
        SELECT cd.description FROM pg_catalog.pg_description AS cd
        WHERE cd.objoid = c.oid AND cd.classoid = 'pg_catalog.pg_class'::pg_catalog.regclass AND cd.objsubid = 0
    ), 2001),
    'primary', nullif(i.indisprimary, false), 'unique', nullif(i.indisunique, false),
    'invalid', nullif(NOT i.indisvalid, false),
    'constraint', (
        SELECT pg_catalog.quote_ident(o.conname) FROM pg_catalog.pg_constraint AS o
        WHERE o.conindid = c.oid AND o.conrelid = i.indrelid AND o.contype IN ('p', 'u', 'x') LIMIT 1
    ),
    -- To measure one that somebody locks exclusively would mean to wait.
    'size_bytes', CASE WHEN c.relkind = 'i' AND NOT EXISTS (
        SELECT FROM pg_catalog.pg_locks AS l
        WHERE l.relation = c.oid AND l.mode = 'AccessExclusiveLock' AND l.pid <> pg_catalog.pg_backend_pid()
    ) THEN pg_catalog.pg_relation_size(c.oid) END,
    'scans', CASE WHEN c.relkind = 'i' THEN pg_catalog.pg_stat_get_numscans(c.oid) END,
    'definition', pg_catalog.left(pg_catalog.pg_get_indexdef(c.oid), 10001)
))
FROM wanted AS w
JOIN pg_catalog.pg_class AS c ON c.oid = w.oid
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_index AS i ON i.indexrelid = c.oid
JOIN pg_catalog.pg_class AS t ON t.oid = i.indrelid
WHERE w.class = 'index'
UNION ALL
SELECT w.number, pg_catalog.json_strip_nulls(pg_catalog.json_build_object(
    'name', pg_catalog.format('%I.%I(%s)', n.nspname, f.proname, pg_catalog.oidvectortypes(f.proargtypes)),
    'kind', CASE f.prokind WHEN 'p' THEN 'procedure' WHEN 'a' THEN 'aggregate' WHEN 'w' THEN 'window function'
                           ELSE 'function' END,
    'comment', pg_catalog.left((
        SELECT cd.description FROM pg_catalog.pg_description AS cd
        WHERE cd.objoid = f.oid AND cd.classoid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND cd.objsubid = 0
    ), 2001),
    'owner', pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(f.proowner)),
    'arguments', nullif(pg_catalog.pg_get_function_arguments(f.oid), ''),
    'returns', pg_catalog.pg_get_function_result(f.oid),
    'language', l.lanname,
    'volatility', CASE f.provolatile WHEN 'i' THEN 'immutable' WHEN 's' THEN 'stable' ELSE 'volatile' END,
    'security_definer', nullif(f.prosecdef, false),
    'strict', nullif(f.proisstrict, false),
    'parallel', CASE f.proparallel WHEN 's' THEN 'safe' WHEN 'r' THEN 'restricted' END,
    'settings', f.proconfig,
    'aggregate', (
        SELECT pg_catalog.json_build_object(
            'state_function', a.aggtransfn::text, 'state_type', pg_catalog.format_type(a.aggtranstype, NULL),
            'final_function', CASE WHEN a.aggfinalfn <> 0 THEN a.aggfinalfn::text END, 'initial', a.agginitval
        )
        FROM pg_catalog.pg_aggregate AS a WHERE a.aggfnoid = f.oid
    ),
    -- There is no such text of an aggregate.
    'definition', CASE WHEN f.prokind <> 'a' THEN pg_catalog.left(pg_catalog.pg_get_functiondef(f.oid), 10001) END
))
FROM wanted AS w
JOIN pg_catalog.pg_proc AS f ON f.oid = w.oid
JOIN pg_catalog.pg_namespace AS n ON n.oid = f.pronamespace
JOIN pg_catalog.pg_language AS l ON l.oid = f.prolang
WHERE w.class = 'function'
UNION ALL
SELECT w.number, pg_catalog.json_strip_nulls(pg_catalog.json_build_object(
    'name', pg_catalog.format('%I.%I', n.nspname, t.typname),
    'kind', CASE t.typtype WHEN 'e' THEN 'enum' WHEN 'd' THEN 'domain' WHEN 'c' THEN 'composite type'
                           WHEN 'r' THEN 'range type' WHEN 'm' THEN 'multirange type' WHEN 'p' THEN 'pseudo-type'
                           ELSE 'base type' END,
    'comment', pg_catalog.left((
        SELECT cd.description FROM pg_catalog.pg_description AS cd
        WHERE cd.objoid = t.oid AND cd.classoid = 'pg_catalog.pg_type'::pg_catalog.regclass AND cd.objsubid = 0
    ), 2001),
    'owner', pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(t.typowner)),
    'labels', CASE WHEN t.typtype = 'e' THEN (
        SELECT pg_catalog.json_agg(e.enumlabel ORDER BY e.enumsortorder)
        FROM (
            SELECT e.enumlabel, e.enumsortorder FROM pg_catalog.pg_enum AS e
            WHERE e.enumtypid = t.oid ORDER BY e.enumsortorder LIMIT 501
        ) AS e
    ) END,
    'base', CASE WHEN t.typtype = 'd' THEN pg_catalog.format_type(t.typbasetype, t.typtypmod) END,
    'not_null', nullif(t.typnotnull, false),
    'default', pg_catalog.left(t.typdefault, 1001),
    'constraints', CASE WHEN t.typtype = 'd' THEN (
        SELECT pg_catalog.json_agg(pg_catalog.json_build_object(
            'name', pg_catalog.quote_ident(o.conname),
            'definition', pg_catalog.left(pg_catalog.pg_get_constraintdef(o.oid, true), 1001)
        ) ORDER BY o.conname)
        FROM pg_catalog.pg_constraint AS o WHERE o.contypid = t.oid AND o.contype = 'c'
    ) END,
    'subtype', (
        SELECT pg_catalog.format_type(r.rngsubtype, NULL) FROM pg_catalog.pg_range AS r WHERE r.rngtypid = t.oid
    ),
    'columns', CASE WHEN t.typtype = 'c' THEN (
        SELECT pg_catalog.json_agg(pg_catalog.json_build_object(
            'name', pg_catalog.quote_ident(a.attname), 'type', pg_catalog.format_type(a.atttypid, a.atttypmod),
            'comment', pg_catalog.left((
                SELECT cd.description FROM pg_catalog.pg_description AS cd
                WHERE cd.objoid = a.attrelid AND cd.classoid = 'pg_catalog.pg_class'::pg_catalog.regclass AND cd.objsubid = a.attnum
            ), 501)
        ) ORDER BY a.attnum)
        FROM pg_catalog.pg_attribute AS a WHERE a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped
    ) END,
    'used_by', (
        SELECT pg_catalog.json_agg(u.name ORDER BY u.name)
        FROM (
            SELECT pg_catalog.format('%I.%I.%I', un.nspname, r.relname, a.attname) AS name
            FROM pg_catalog.pg_depend AS d
            JOIN pg_catalog.pg_class AS r ON r.oid = d.objid AND r.relkind IN ('r', 'p', 'f', 'v', 'm')
            JOIN pg_catalog.pg_namespace AS un ON un.oid = r.relnamespace
            JOIN pg_catalog.pg_attribute AS a ON a.attrelid = r.oid AND a.attnum = d.objsubid
            WHERE d.refclassid = 'pg_catalog.pg_type'::pg_catalog.regclass AND d.refobjid = t.oid
              AND d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND NOT r.relispartition
            ORDER BY 1 LIMIT 51
        ) AS u
    )
))
FROM wanted AS w
JOIN pg_catalog.pg_type AS t ON t.oid = w.oid
JOIN pg_catalog.pg_namespace AS n ON n.oid = t.typnamespace
WHERE w.class = 'type'
UNION ALL
SELECT w.number, pg_catalog.json_strip_nulls(pg_catalog.json_build_object(
    'name', pg_catalog.quote_ident(t.tgname),
    'kind', 'trigger',
    'table', pg_catalog.format('%I.%I', n.nspname, c.relname),
    'comment', pg_catalog.left((
        SELECT cd.description FROM pg_catalog.pg_description AS cd
        WHERE cd.objoid = t.oid AND cd.classoid = 'pg_catalog.pg_trigger'::pg_catalog.regclass AND cd.objsubid = 0
    ), 2001),
    'enabled', CASE t.tgenabled WHEN 'D' THEN 'never' WHEN 'R' THEN 'on replicas' WHEN 'A' THEN 'always' END,
    'function', pg_catalog.format('%I.%I', fn.nspname, f.proname),
    'definition', pg_catalog.left(pg_catalog.pg_get_triggerdef(t.oid, true), 10001),
    'source', pg_catalog.left(f.prosrc, 10001)
))
FROM wanted AS w
JOIN pg_catalog.pg_trigger AS t ON t.oid = w.oid
JOIN pg_catalog.pg_class AS c ON c.oid = t.tgrelid
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_proc AS f ON f.oid = t.tgfoid
JOIN pg_catalog.pg_namespace AS fn ON fn.oid = f.pronamespace
WHERE w.class = 'trigger'
UNION ALL
SELECT w.number, pg_catalog.json_strip_nulls(pg_catalog.json_build_object(
    'name', pg_catalog.quote_ident(n.nspname),
    'kind', 'schema',
    'comment', pg_catalog.left((
        SELECT cd.description FROM pg_catalog.pg_description AS cd
        WHERE cd.objoid = n.oid AND cd.classoid = 'pg_catalog.pg_namespace'::pg_catalog.regclass AND cd.objsubid = 0
    ), 2001),
    'owner', pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(n.nspowner)),
    'tables', r.tables, 'partitions', nullif(r.partitions, 0), 'views', nullif(r.views, 0),
    'materialized_views', nullif(r.materialized_views, 0), 'sequences', nullif(r.sequences, 0),
    'indexes', nullif(r.indexes, 0),
    'functions', (
        SELECT nullif(pg_catalog.count(*), 0) FROM pg_catalog.pg_proc AS f WHERE f.pronamespace = n.oid
    ),
    'types', (
        SELECT nullif(pg_catalog.count(*), 0)
        FROM pg_catalog.pg_type AS t
        LEFT JOIN pg_catalog.pg_class AS c ON c.oid = t.typrelid
        WHERE t.typnamespace = n.oid AND t.typtype <> 'm' AND t.typcategory <> 'A' AND (t.typrelid = 0 OR c.relkind = 'c')
    )
))
FROM wanted AS w
JOIN pg_catalog.pg_namespace AS n ON n.oid = w.oid
CROSS JOIN LATERAL (
    SELECT pg_catalog.count(*) FILTER (WHERE c.relkind IN ('r', 'p', 'f') AND NOT c.relispartition) AS tables,
           pg_catalog.count(*) FILTER (WHERE c.relkind IN ('r', 'p', 'f') AND c.relispartition) AS partitions,
           pg_catalog.count(*) FILTER (WHERE c.relkind = 'v') AS views,
           pg_catalog.count(*) FILTER (WHERE c.relkind = 'm') AS materialized_views,
           pg_catalog.count(*) FILTER (WHERE c.relkind = 'S') AS sequences,
           pg_catalog.count(*) FILTER (WHERE c.relkind IN ('i', 'I') AND NOT c.relispartition) AS indexes
    FROM pg_catalog.pg_class AS c WHERE c.relnamespace = n.oid
) AS r
WHERE w.class = 'schema'
UNION ALL
SELECT w.number, pg_catalog.json_strip_nulls(pg_catalog.json_build_object(
    'name', pg_catalog.quote_ident(e.extname),
    'kind', 'extension',
    'version', e.extversion,
    'schema', pg_catalog.quote_ident(n.nspname),
    'comment', pg_catalog.left((
        SELECT cd.description FROM pg_catalog.pg_description AS cd
        WHERE cd.objoid = e.oid AND cd.classoid = 'pg_catalog.pg_extension'::pg_catalog.regclass AND cd.objsubid = 0
    ), 2001),
    'owner', pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(e.extowner)),
    'members', (
        SELECT pg_catalog.json_agg(m.name ORDER BY m.name)
        FROM (
            SELECT pg_catalog.pg_describe_object(d.classid, d.objid, d.objsubid) AS name
            FROM pg_catalog.pg_depend AS d
            WHERE d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass AND d.refobjid = e.oid AND d.deptype = 'e'
            ORDER BY 1 LIMIT 51
        ) AS m
    )
))
FROM wanted AS w
JOIN pg_catalog.pg_extension AS e ON e.oid = w.oid
JOIN pg_catalog.pg_namespace AS n ON n.oid = e.extnamespace
WHERE w.class = 'extension'
UNION ALL
SELECT w.number, pg_catalog.json_strip_nulls(pg_catalog.json_build_object(
    'name', pg_catalog.quote_ident(r.rolname),
    'kind', 'role',
    'comment', pg_catalog.left(pg_catalog.shobj_description(r.oid, 'pg_authid'), 2001),
    'login', nullif(r.rolcanlogin, false), 'superuser', nullif(r.rolsuper, false),
    'create_db', nullif(r.rolcreatedb, false), 'create_role', nullif(r.rolcreaterole, false),
    'replication', nullif(r.rolreplication, false), 'bypass_rls', nullif(r.rolbypassrls, false),
    'connection_limit', nullif(r.rolconnlimit, -1), 'valid_until', r.rolvaliduntil::text,
    'settings', r.rolconfig,
    'member_of', (
        SELECT pg_catalog.json_agg(DISTINCT pg_catalog.quote_ident(g.rolname))
        FROM pg_catalog.pg_auth_members AS m JOIN pg_catalog.pg_roles AS g ON g.oid = m.roleid
        WHERE m.member = r.oid
    ),
    'members', (
        SELECT pg_catalog.json_agg(m.name ORDER BY m.name)
        FROM (
            SELECT DISTINCT pg_catalog.quote_ident(g.rolname) AS name
            FROM pg_catalog.pg_auth_members AS m JOIN pg_catalog.pg_roles AS g ON g.oid = m.member
            WHERE m.roleid = r.oid ORDER BY 1 LIMIT 51
        ) AS m
    )
))
FROM wanted AS w
JOIN pg_catalog.pg_roles AS r ON r.oid = w.oid
WHERE w.class = 'role'
ORDER BY 1
