-- What lets people and programs in. Secrets are there as SHA-256 and passwords as Argon2id, so whoever reads the file cannot show them.
-- Times are milliseconds since 1970 in UTC; roles and claims are JSON.
CREATE TABLE api_key (
    tenant  INTEGER NOT NULL,
    id      TEXT NOT NULL, -- part of the key, and no secret
    name    TEXT NOT NULL,
    subject TEXT NOT NULL,
    roles   TEXT NOT NULL,
    claims  TEXT NOT NULL,
    digest  BLOB NOT NULL, -- of the secret
    created INTEGER NOT NULL,
    expires INTEGER,
    revoked INTEGER,
    used    INTEGER,       -- when last, to the minute
    PRIMARY KEY (tenant, id)
) STRICT, WITHOUT ROWID;

-- A session has one token to ask with and one to refresh both with, each replaced at every refresh. `origin` is what it was made of:
-- `token`, `key ID` or `user NAME`. `family` is the digest of what all its tokens to refresh with have in common.
CREATE TABLE session (
    tenant         INTEGER NOT NULL,
    id             TEXT NOT NULL,
    origin         TEXT NOT NULL,
    subject        TEXT,
    claims         TEXT NOT NULL,
    family         BLOB NOT NULL,
    access         BLOB NOT NULL,
    refresh        BLOB NOT NULL,
    access_before  BLOB,             -- of the tokens that the last refresh replaced
    refresh_before BLOB,
    access_ends    INTEGER NOT NULL,
    refresh_ends   INTEGER NOT NULL,
    created        INTEGER NOT NULL,
    refreshed      INTEGER NOT NULL,
    ends           INTEGER NOT NULL, -- however often it is refreshed
    ended          INTEGER,          -- when it was ended before that
    PRIMARY KEY (tenant, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX session_origin ON session (tenant, origin);
CREATE INDEX session_subject ON session (tenant, subject);
CREATE INDEX session_ends ON session (tenant, ends);

-- Users that no identity provider knows.
CREATE TABLE account (
    tenant   INTEGER NOT NULL,
    name     TEXT NOT NULL,
    roles    TEXT NOT NULL,
    claims   TEXT NOT NULL,
    password TEXT NOT NULL, -- PHC string of Argon2id
    created  INTEGER NOT NULL,
    changed  INTEGER NOT NULL,
    PRIMARY KEY (tenant, name)
) STRICT, WITHOUT ROWID;
