-- What lets people and programs in. Secrets are there as SHA-256 and passwords as Argon2id, so whoever reads the tables cannot show them.
-- Times are milliseconds since 1970 in UTC; roles and claims are JSON as text.
-- These, too, are shown one tenant at a time: whatever is shown to be let in names its tenant, which is set before anything is looked
-- up. Who names another one's tenant finds nothing there.
CREATE TABLE api_key (
    tenant  bigint NOT NULL,
    id      text COLLATE "C" NOT NULL, -- part of the key, and no secret
    name    text NOT NULL,
    subject text NOT NULL,
    roles   text NOT NULL,
    claims  text NOT NULL,
    digest  bytea NOT NULL, -- of the secret
    created bigint NOT NULL,
    expires bigint,
    revoked bigint,
    used    bigint,         -- when last, to the minute
    PRIMARY KEY (tenant, id)
);

-- A session has one token to ask with and one to refresh both with, each replaced at every refresh. `origin` is what it was made of:
-- `token`, `key ID` or `user NAME`. `family` is the digest of what all its tokens to refresh with have in common.
CREATE TABLE session (
    tenant         bigint NOT NULL,
    id             text COLLATE "C" NOT NULL,
    origin         text COLLATE "C" NOT NULL,
    subject        text COLLATE "C",
    claims         text NOT NULL,
    family         bytea NOT NULL,
    access         bytea NOT NULL,
    refresh        bytea NOT NULL,
    access_before  bytea,           -- of the tokens that the last refresh replaced
    refresh_before bytea,
    access_ends    bigint NOT NULL,
    refresh_ends   bigint NOT NULL,
    created        bigint NOT NULL,
    refreshed      bigint NOT NULL,
    ends           bigint NOT NULL, -- however often it is refreshed
    ended          bigint,          -- when it was ended before that
    PRIMARY KEY (tenant, id)
);
CREATE INDEX session_origin ON session (tenant, origin);
CREATE INDEX session_subject ON session (tenant, subject);
CREATE INDEX session_ends ON session (tenant, ends);

-- Users that no identity provider knows.
CREATE TABLE account (
    tenant   bigint NOT NULL,
    name     text COLLATE "C" NOT NULL,
    roles    text NOT NULL,
    claims   text NOT NULL,
    password text NOT NULL, -- PHC string of Argon2id
    created  bigint NOT NULL,
    changed  bigint NOT NULL,
    PRIMARY KEY (tenant, name)
);

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['api_key', 'session', 'account'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY one_tenant ON %I USING (tenant = current_tenant()) WITH CHECK (tenant = current_tenant())', name);
    END LOOP;
END
$$;
