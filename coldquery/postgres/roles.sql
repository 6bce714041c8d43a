-- Two roles for the gateway in a database that exists: a reader, which can only SELECT, and a writer, for sessions and
-- writes. Neither can do what only a superuser may. The embedded PostgreSQL runs this text too, after its own embedded.sql.
--
--     psql -v reader=agent_reader -v writer=agent_writer -v database=shop -f ops/roles/roles.sql
--
-- As a superuser; from PostgreSQL 16 on, the owner of the database and its tables will do if it may create roles. May be
-- run again at any time.
--
--     reader, writer   the roles; made when missing, then without a password (\password agent_reader)
--     database         where; without it, the database that psql is connected to
--     schemas          those that they may use, as a list with commas; without it, public
--
-- Nobody else loses anything: what is taken from PUBLIC is given by name to the roles that can log in today.

\set ON_ERROR_STOP on
\if :{?reader}
\else
    \set reader coldquery_reader
\endif
\if :{?writer}
\else
    \set writer coldquery_writer
\endif
\if :{?schemas}
\else
    \set schemas public
\endif
\if :{?database}
    \connect :"database"
\endif
SELECT current_database() AS database \gset

BEGIN;
SET LOCAL client_min_messages = warning;

-- 1. The roles.

-- From PostgreSQL 16 on, who creates a role and is no superuser needs this to set its default privileges below.
SELECT CASE WHEN current_setting('createrole_self_grant', true) IS NOT NULL
    THEN set_config('createrole_self_grant', 'set, inherit', true) END AS ignored \gset

SELECT format('CREATE ROLE %I LOGIN', name) FROM unnest(ARRAY[:'reader', :'writer']) AS name
WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = name) \gexec

-- A role that was there may be somebody's: it is not weakened here, and one that is too strong is not taken.
SELECT format('DO %L', format('BEGIN RAISE EXCEPTION USING MESSAGE = %L, HINT = %L; END',
    format('%I is a superuser, or may create roles, replicate or bypass row security', rolname),
    'Name a role without such powers, or one that does not exist yet.'))
FROM pg_catalog.pg_roles
WHERE rolname IN (:'reader', :'writer') AND (rolsuper OR rolcreaterole OR rolreplication OR rolbypassrls) \gexec

-- What runs, and whose statements take long, if it is ours to give. Not pg_read_all_data: that would read the password
-- hashes in pg_authid.
SELECT format('GRANT pg_read_all_stats TO %I, %I', :'reader', :'writer')
WHERE pg_has_role('pg_read_all_stats', 'USAGE WITH ADMIN OPTION') \gexec
GRANT CONNECT ON DATABASE :"database" TO :"reader", :"writer";
GRANT TEMPORARY ON DATABASE :"database" TO :"writer";

-- 2. What everybody may, and a reader must not: temporary tables, large objects, and, in databases that PostgreSQL 14 or
--    an older one has made, tables in public. https://www.postgresql.org/docs/current/ddl-priv.html

CREATE TEMPORARY TABLE others ON COMMIT DROP AS
SELECT rolname AS name FROM pg_catalog.pg_roles WHERE rolcanlogin AND NOT rolsuper AND rolname <> :'reader';
CREATE TEMPORARY TABLE chosen ON COMMIT DROP AS
SELECT trim(name) AS name FROM regexp_split_to_table(:'schemas', ',') AS name;

SELECT format('GRANT TEMPORARY ON DATABASE %I TO %I', :'database', name) FROM others
WHERE has_database_privilege('public', :'database', 'TEMPORARY') \gexec
REVOKE TEMPORARY ON DATABASE :"database" FROM PUBLIC, :"reader";

SELECT format('GRANT CREATE ON SCHEMA %I TO %I', chosen.name, others.name) FROM chosen, others
WHERE has_schema_privilege('public', chosen.name, 'CREATE') \gexec
SELECT format('REVOKE CREATE ON SCHEMA %I FROM PUBLIC, %I', name, :'reader') FROM chosen \gexec

SELECT pg_has_role(proowner, 'USAGE') AS mine FROM pg_catalog.pg_proc WHERE oid = 'lo_creat(integer)'::regprocedure \gset
\if :mine
    SELECT format('GRANT EXECUTE ON FUNCTION %s TO %I', f::regprocedure, name) FROM others,
        unnest(ARRAY['lo_creat(integer)', 'lo_create(oid)', 'lo_from_bytea(oid, bytea)']::regprocedure[]) AS f
    WHERE has_function_privilege('public', f, 'EXECUTE') \gexec
    REVOKE EXECUTE ON FUNCTION lo_creat(integer), lo_create(oid), lo_from_bytea(oid, bytea) FROM PUBLIC, :"reader";
    GRANT EXECUTE ON FUNCTION lo_creat(integer), lo_create(oid), lo_from_bytea(oid, bytea) TO :"writer";
\else
    \warn 'Anybody can still make large objects, the reader too: only a superuser can change that.'
\endif

-- 3. What is there.

SELECT format(words, name, :'reader', :'writer') FROM chosen, unnest(ARRAY[
    'GRANT USAGE ON SCHEMA %1$I TO %2$I',
    'GRANT USAGE, CREATE ON SCHEMA %1$I TO %3$I',
    'GRANT SELECT ON ALL TABLES IN SCHEMA %1$I TO %2$I',
    'GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA %1$I TO %3$I',
    'GRANT SELECT ON ALL SEQUENCES IN SCHEMA %1$I TO %2$I',
    'GRANT ALL ON ALL SEQUENCES IN SCHEMA %1$I TO %3$I'
]) AS words \gexec

-- 4. What will be made: by the writer, in whatever schema, and in these schemas by whoever owns a table there or the
--    database. https://www.postgresql.org/docs/current/sql-alterdefaultprivileges.html

ALTER DEFAULT PRIVILEGES FOR ROLE :"writer" GRANT USAGE ON SCHEMAS TO :"reader";
ALTER DEFAULT PRIVILEGES FOR ROLE :"writer" GRANT SELECT ON TABLES TO :"reader";
ALTER DEFAULT PRIVILEGES FOR ROLE :"writer" GRANT SELECT ON SEQUENCES TO :"reader";

SELECT format('ALTER DEFAULT PRIVILEGES FOR ROLE %I IN SCHEMA %I ' || words, owner.rolname, name, :'reader', :'writer')
FROM chosen CROSS JOIN pg_catalog.pg_roles AS owner CROSS JOIN unnest(ARRAY[
    'GRANT SELECT ON TABLES TO %3$I',
    'GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO %4$I',
    'GRANT SELECT ON SEQUENCES TO %3$I',
    'GRANT ALL ON SEQUENCES TO %4$I'
]) AS words
WHERE owner.rolname NOT IN (:'reader', :'writer') AND owner.oid IN (
    SELECT datdba FROM pg_catalog.pg_database WHERE datname = :'database'
    UNION SELECT relowner FROM pg_catalog.pg_class AS c
    WHERE relkind IN ('r', 'p') AND relnamespace = to_regnamespace(quote_ident(name))
      AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend WHERE objid = c.oid AND deptype = 'e')
) \gexec

COMMIT;
