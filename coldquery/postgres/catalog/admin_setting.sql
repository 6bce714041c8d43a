-- How does the setting $1 stand, and may the role change it in its session? A name of two parts that nobody has set yet
-- gives no row.
SELECT s.name, s.setting AS value, s.unit, s.source, s.boot_val AS default, s.reset_val, s.context, s.vartype AS type,
    s.min_val AS min, s.max_val AS max, s.enumvals AS allowed, s.pending_restart, s.category,
    s.short_desc AS description, s.extra_desc AS more,
    pg_catalog.current_setting(s.name, true) AS shown,
    s.context = 'user' OR (
        s.context = 'superuser' AND pg_catalog.has_parameter_privilege(s.name, 'SET')
    ) AS changeable
FROM pg_catalog.pg_settings AS s
WHERE pg_catalog.lower(s.name) = pg_catalog.lower($1::text)
