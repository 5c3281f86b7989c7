CREATE SCHEMA SCHEMA;
CREATE DOMAIN SCHEMA.words AS text CHECK (length(VALUE) < 100);
CREATE TYPE SCHEMA."State of Orders" AS ENUM ('SENT', 'OPEN', 'LOST');
CREATE COLLATION SCHEMA.loose (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
CREATE COLLATION SCHEMA.danish (provider = icu, locale = 'da');
CREATE TABLE SCHEMA."Orders ""2026""" (
    tenant text NOT NULL,
    order_no uuid NOT NULL,
    site_id varchar(40),
    customer_id bigint,
    code SCHEMA.words COLLATE SCHEMA.danish NOT NULL,
    note text COLLATE SCHEMA.loose,
    state SCHEMA."State of Orders" NOT NULL,
    stage text,
    "Pieces; DROP TABLE x" integer NOT NULL,
    small smallint,
    whole integer,
    big bigint,
    huge numeric(18, 0),
    price double precision,
    exact numeric(10, 2),
    loose numeric,
    single real,
    paid boolean,
    day date,
    at timestamptz NOT NULL,
    coarse timestamptz(3),
    extra jsonb,
    tags text[],
    counts integer[],
    days date[],
    moments timestamptz[],
    secret text,
    PRIMARY KEY (tenant, order_no)
);
CREATE INDEX ON SCHEMA."Orders ""2026""" (tenant, site_id);
CREATE INDEX ON SCHEMA."Orders ""2026""" (tenant, customer_id);
CREATE TABLE SCHEMA.customers (
    tenant varchar(64) NOT NULL DEFAULT current_setting('quipu.tenant_name', true),
    id bigint NOT NULL,
    "full name" varchar(100) NOT NULL,
    mail text,
    hidden boolean NOT NULL,
    PRIMARY KEY (tenant, id)
);
CREATE TABLE SCHEMA.items (
    tenant text NOT NULL,
    id text NOT NULL,
    order_no uuid,
    label text NOT NULL,
    amount smallint NOT NULL,
    PRIMARY KEY (tenant, id)
);
CREATE INDEX ON SCHEMA.items (tenant, order_no);
GRANT USAGE ON SCHEMA SCHEMA TO quipu_login;
GRANT SELECT ON ALL TABLES IN SCHEMA SCHEMA TO quipu_login;
