-- Which settings have $1 in their name or description, and $2 in their category? A null asks for all; a percent sign makes
-- $1 a pattern of LIKE over the names. Those from $3 on, $4 of them, each with how many there are in all.
SELECT s.name, pg_catalog.current_setting(s.name, true) AS value, s.source, s.boot_val AS default, s.unit,
    s.context, s.pending_restart, s.short_desc AS description, pg_catalog.count(*) OVER () AS total
FROM pg_catalog.pg_settings AS s
WHERE CASE
    WHEN $1::text IS NULL THEN true
    WHEN $1 LIKE '%\%%' THEN s.name ILIKE $1
    ELSE pg_catalog.strpos(pg_catalog.lower(s.name || ' ' || s.short_desc), pg_catalog.lower($1)) > 0
END AND ($2::text IS NULL OR pg_catalog.strpos(pg_catalog.lower(s.category), pg_catalog.lower($2)) > 0)
ORDER BY s.name
OFFSET $3::int LIMIT $4::int
