-- A schema with one of each, some of it oddly named.
CREATE SCHEMA shop;
COMMENT ON SCHEMA shop IS 'What is sold';
CREATE SCHEMA "Odd ""Schema"".";
CREATE SCHEMA crowd;

CREATE TYPE shop.status AS ENUM ('placed', 'paid', 'shipped');
COMMENT ON TYPE shop.status IS 'How far an order is';
CREATE TYPE shop.address AS (street text, zip varchar(10));
CREATE TYPE shop.span AS RANGE (subtype = int4);
CREATE DOMAIN shop.email AS text DEFAULT 'none@example.org' NOT NULL CHECK (VALUE LIKE '%@%');

CREATE TABLE shop.customers (
    id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    email shop.email UNIQUE,
    name text COLLATE "C" NOT NULL,
    home shop.address,
    age int CHECK (age > 0),
    shout text GENERATED ALWAYS AS (upper(name)) STORED,
    referrer int REFERENCES shop.customers (id) ON DELETE SET NULL
);
COMMENT ON TABLE shop.customers IS 'Who buys';
COMMENT ON COLUMN shop.customers.email IS 'Where to write to';
COMMENT ON CONSTRAINT customers_age_check ON shop.customers IS 'The born';
INSERT INTO shop.customers (email, name) SELECT i || '@example.org', 'c' || i FROM generate_series(1, 100) AS i;
ANALYZE shop.customers;
CREATE INDEX customers_lower_idx ON shop.customers (lower(name)) WHERE age > 18;
COMMENT ON INDEX shop.customers_lower_idx IS 'For the search';

CREATE TABLE shop.orders (
    id bigserial PRIMARY KEY,
    customer_id int NOT NULL REFERENCES shop.customers ON DELETE CASCADE,
    status shop.status NOT NULL DEFAULT 'placed',
    note text
);
ALTER TABLE shop.orders ADD CONSTRAINT note_is_short CHECK (length(note) < 100) NOT VALID;
ALTER TABLE shop.orders ENABLE ROW LEVEL SECURITY;
ALTER TABLE shop.orders FORCE ROW LEVEL SECURITY;
CREATE POLICY own ON shop.orders FOR SELECT TO coldquery_reader USING (customer_id = 1);
CREATE POLICY careful ON shop.orders AS RESTRICTIVE USING (true) WITH CHECK (note IS NOT NULL);

CREATE TABLE shop.bookings (
    room int4range, during tsrange, EXCLUDE USING gist (during WITH &&) WHERE (room IS NOT NULL)
);

CREATE TABLE shop.events (id bigint, at date NOT NULL, region text NOT NULL, PRIMARY KEY (id, at, region))
    PARTITION BY RANGE (at);
CREATE TABLE shop.events_2025 PARTITION OF shop.events FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
CREATE TABLE shop.events_2026 PARTITION OF shop.events FOR VALUES FROM ('2026-01-01') TO ('2027-01-01')
    PARTITION BY LIST (region);
CREATE TABLE shop.events_2026_eu PARTITION OF shop.events_2026 FOR VALUES IN ('eu');
CREATE TABLE shop.events_2026_rest PARTITION OF shop.events_2026 DEFAULT;
INSERT INTO shop.events SELECT i, date '2025-12-01' + i, CASE i % 2 WHEN 0 THEN 'eu' ELSE 'us' END
FROM generate_series(1, 60) AS i;
ANALYZE shop.events_2025, shop.events_2026_eu, shop.events_2026_rest;
CREATE TABLE shop.event_notes (
    event bigint, at date, region text, FOREIGN KEY (event, at, region) REFERENCES shop.events
);

CREATE TABLE shop.things (id int, made date);
CREATE TABLE shop.machines (power int) INHERITS (shop.things);
CREATE UNLOGGED TABLE shop.scratch (i int);

CREATE VIEW shop.adults AS SELECT id, name FROM shop.customers WHERE age >= 18;
CREATE MATERIALIZED VIEW shop.totals AS SELECT customer_id, count(*) FROM shop.orders GROUP BY 1 WITH NO DATA;
COMMENT ON VIEW shop.adults IS 'Of age';
COMMENT ON MATERIALIZED VIEW shop.totals IS 'Orders per buyer';
CREATE SEQUENCE shop.ticket START 100 INCREMENT 5 MAXVALUE 1000 CYCLE;
COMMENT ON SEQUENCE shop.ticket IS 'Of the queue';

CREATE FUNCTION shop.total(customer int) RETURNS bigint LANGUAGE sql STABLE AS 'SELECT count(*) FROM shop.orders';
COMMENT ON FUNCTION shop.total(int) IS 'Of one';
CREATE FUNCTION shop.total(customer int, since date DEFAULT '2020-01-01') RETURNS numeric LANGUAGE sql
    SECURITY DEFINER SET search_path = shop AS 'SELECT 1.0';
CREATE PROCEDURE shop.tidy() LANGUAGE plpgsql AS $$ BEGIN NULL; END $$;
CREATE AGGREGATE shop.product(numeric) (SFUNC = numeric_mul, STYPE = numeric, INITCOND = '1');
CREATE FUNCTION shop.stamp() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;
CREATE TRIGGER stamp_orders BEFORE INSERT OR UPDATE ON shop.orders FOR EACH ROW EXECUTE FUNCTION shop.stamp();
COMMENT ON TRIGGER stamp_orders ON shop.orders IS 'When';
CREATE TRIGGER stamp_events BEFORE INSERT ON shop.events FOR EACH ROW EXECUTE FUNCTION shop.stamp();
ALTER TABLE shop.orders DISABLE TRIGGER stamp_orders;

CREATE FOREIGN DATA WRAPPER nowhere;
CREATE SERVER far FOREIGN DATA WRAPPER nowhere;
CREATE FOREIGN TABLE shop.remote (i int) SERVER far;

CREATE TABLE "Odd ""Schema""."."Weird ""Name""." (
    "select" int PRIMARY KEY, "Größe (cm) USING btree (" text, "from" int REFERENCES shop.customers
);
COMMENT ON TABLE "Odd ""Schema""."."Weird ""Name""." IS $$It's "odd" \ {}$$;
CREATE INDEX "a USING b" ON "Odd ""Schema""."."Weird ""Name""." ("Größe (cm) USING btree (");
CREATE TABLE public."Orders" (i int);
CREATE TABLE public.plain (i int);

DO $$
BEGIN
    FOR i IN 1 .. 2000 LOOP
        EXECUTE format('CREATE TABLE crowd.t_%s (id int, a text)', lpad(i::text, 4, '0'));
    END LOOP;
END $$;

GRANT USAGE ON SCHEMA shop, crowd, "Odd ""Schema""." TO PUBLIC;
GRANT SELECT ON ALL TABLES IN SCHEMA shop TO PUBLIC;
