-- Rows, registry, log and ontologies of all tenants, in a schema of their own, which the search path names.
-- The tenant comes first in every key. Row security shows a role one tenant at a time: the one whose key is in the setting
-- `quipu.tenant`, for the length of a transaction. Without it nothing is shown.
-- Text is compared by its bytes, in every place that puts it in order or limits a range.

CREATE FUNCTION current_tenant() RETURNS bigint LANGUAGE sql STABLE PARALLEL SAFE
    RETURN nullif(current_setting('quipu.tenant', true), '')::bigint;

-- A property as a value to compare. What was stored while the property had another type counts as absent.
CREATE FUNCTION number_of(value jsonb) RETURNS numeric LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE jsonb_typeof(value) WHEN 'number' THEN value::numeric END;
CREATE FUNCTION truth_of(value jsonb) RETURNS boolean LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE jsonb_typeof(value) WHEN 'boolean' THEN value::boolean END;

CREATE TABLE tenant (
    key     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name    text COLLATE "C" NOT NULL UNIQUE,
    version bigint NOT NULL DEFAULT 0, -- of the published ontology
    head    bigint NOT NULL DEFAULT 0  -- last position of the log
);

CREATE TABLE ontology (
    tenant  bigint NOT NULL,
    version bigint NOT NULL,
    sdl     text NOT NULL,
    PRIMARY KEY (tenant, version)
);

-- Names of types, as integers. `sort`: 0 node, 1 row, 2 relationship. `distinct_values`: the properties that no two records share a
-- value of. `texts` and `numbers`: the properties of a row that have a column of their own, by the number of that column. A place that
-- was given once is never given to another property.
CREATE TABLE kind (
    key             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant          bigint NOT NULL,
    sort            integer NOT NULL,
    name            text COLLATE "C" NOT NULL,
    distinct_values text[] NOT NULL DEFAULT '{}',
    texts           text[] NOT NULL DEFAULT '{}',
    numbers         text[] NOT NULL DEFAULT '{}',
    UNIQUE (tenant, sort, name)
);

-- Rows of the relational tables. Properties that are looked for or sorted by are also in columns: below row security an index serves
-- only what is compared by operators that cannot leak, and looking into JSON is none of these.
CREATE TABLE record (
    rid    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant bigint NOT NULL,
    kind   bigint NOT NULL,
    id     text COLLATE "C" NOT NULL,
    props  jsonb NOT NULL,
    t1 text COLLATE "C", t2 text COLLATE "C", t3 text COLLATE "C", t4 text COLLATE "C",
    t5 text COLLATE "C", t6 text COLLATE "C", t7 text COLLATE "C", t8 text COLLATE "C",
    n1 double precision, n2 double precision, n3 double precision, n4 double precision
);
CREATE UNIQUE INDEX record_id ON record (tenant, kind, id);
CREATE INDEX record_t1 ON record (tenant, kind, t1, id) WHERE t1 IS NOT NULL;
CREATE INDEX record_t2 ON record (tenant, kind, t2, id) WHERE t2 IS NOT NULL;
CREATE INDEX record_t3 ON record (tenant, kind, t3, id) WHERE t3 IS NOT NULL;
CREATE INDEX record_t4 ON record (tenant, kind, t4, id) WHERE t4 IS NOT NULL;
CREATE INDEX record_t5 ON record (tenant, kind, t5, id) WHERE t5 IS NOT NULL;
CREATE INDEX record_t6 ON record (tenant, kind, t6, id) WHERE t6 IS NOT NULL;
CREATE INDEX record_t7 ON record (tenant, kind, t7, id) WHERE t7 IS NOT NULL;
CREATE INDEX record_t8 ON record (tenant, kind, t8, id) WHERE t8 IS NOT NULL;
CREATE INDEX record_n1 ON record (tenant, kind, n1, id) WHERE n1 IS NOT NULL;
CREATE INDEX record_n2 ON record (tenant, kind, n2, id) WHERE n2 IS NOT NULL;
CREATE INDEX record_n3 ON record (tenant, kind, n3, id) WHERE n3 IS NOT NULL;
CREATE INDEX record_n4 ON record (tenant, kind, n4, id) WHERE n4 IS NOT NULL;

-- What may refuse a change. A record's key is never used again after it went, so links of a past record mean nothing.
CREATE TABLE registry (
    rid     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant  bigint NOT NULL,
    kind    bigint NOT NULL,
    id      text COLLATE "C" NOT NULL,
    version bigint NOT NULL,
    digests bytea NOT NULL -- of the properties
);
CREATE UNIQUE INDEX registry_id ON registry (tenant, kind, id);

CREATE TABLE taken (
    tenant   bigint NOT NULL,
    kind     bigint NOT NULL,
    property text COLLATE "C" NOT NULL,
    mark     bytea NOT NULL, -- SHA-256 of the value: an index does not take long texts
    value    text NOT NULL,  -- JSON
    id       text COLLATE "C" NOT NULL,
    PRIMARY KEY (tenant, kind, property, mark)
);
CREATE INDEX taken_by ON taken (tenant, kind, id, property);

CREATE TABLE link (
    tenant  bigint NOT NULL,
    kind    bigint NOT NULL,
    src     bigint NOT NULL, -- of the registry
    dst     bigint NOT NULL,
    key     text COLLATE "C" NOT NULL,
    digests bytea NOT NULL,
    PRIMARY KEY (tenant, kind, src, dst, key)
);
CREATE INDEX link_src ON link (tenant, src);

-- The log. Changes and effects are JSON as text: kept as they were written.
CREATE TABLE log (
    tenant  bigint NOT NULL,
    seq     bigint NOT NULL,
    at      text NOT NULL,
    actor   text,
    change  text NOT NULL,
    effects text NOT NULL,
    PRIMARY KEY (tenant, seq)
);

CREATE TABLE idempotency (
    tenant  bigint NOT NULL,
    key     text COLLATE "C" NOT NULL,
    digest  bytea NOT NULL,
    seq     bigint NOT NULL,
    effects text NOT NULL,
    at      text NOT NULL,
    PRIMARY KEY (tenant, key)
);

-- Row security, for the owner of the tables as well.
DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['ontology', 'kind', 'record', 'registry', 'taken', 'link', 'log', 'idempotency'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY one_tenant ON %I USING (tenant = current_tenant()) WITH CHECK (tenant = current_tenant())', name);
    END LOOP;
END
$$;
ALTER TABLE tenant ENABLE ROW LEVEL SECURITY;
ALTER TABLE tenant FORCE ROW LEVEL SECURITY;
CREATE POLICY one_tenant ON tenant USING (key = current_tenant()) WITH CHECK (key = current_tenant());

-- What has to look beyond one tenant runs as the owner, and says no more than this.
CREATE POLICY for_functions ON tenant TO CURRENT_USER USING (true) WITH CHECK (true);

CREATE FUNCTION tenant_key(wanted text) RETURNS bigint LANGUAGE sql STABLE SECURITY DEFINER SET search_path FROM CURRENT
    BEGIN ATOMIC
        SELECT key FROM tenant WHERE name = wanted;
    END;

CREATE FUNCTION ensure_tenant(wanted text) RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    INSERT INTO tenant (name) VALUES (wanted) ON CONFLICT (name) DO NOTHING;
    RETURN (SELECT key FROM tenant WHERE name = wanted);
END
$$;

CREATE FUNCTION published() RETURNS TABLE (name text, version bigint) LANGUAGE sql STABLE SECURITY DEFINER SET search_path FROM CURRENT
    BEGIN ATOMIC
        SELECT t.name, t.version FROM tenant t WHERE t.version > 0 ORDER BY t.name;
    END;
