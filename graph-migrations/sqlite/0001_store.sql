-- The embedded store: graph, rows, registry and log of all tenants in one file.
-- The tenant comes first in every key. Properties are JSONB objects under their stored names.

CREATE TABLE tenant (
    key     INTEGER PRIMARY KEY,
    name    TEXT NOT NULL UNIQUE,
    version INTEGER NOT NULL DEFAULT 0, -- of the published ontology
    head    INTEGER NOT NULL DEFAULT 0  -- last position of the log
) STRICT;

CREATE TABLE ontology (
    tenant  INTEGER NOT NULL,
    version INTEGER NOT NULL,
    sdl     TEXT NOT NULL,
    UNIQUE (tenant, version)
) STRICT;

-- Names of types, as integers. `sort`: 0 node, 1 row, 2 relationship. `embedded` and `distinct_values`: JSON lists of the properties
-- whose text is indexed and of those that no two records share a value of.
CREATE TABLE kind (
    key             INTEGER PRIMARY KEY AUTOINCREMENT,
    tenant          INTEGER NOT NULL,
    sort            INTEGER NOT NULL,
    name            TEXT NOT NULL,
    embedded        TEXT NOT NULL DEFAULT '[]',
    distinct_values TEXT NOT NULL DEFAULT '[]',
    UNIQUE (tenant, sort, name)
) STRICT;

-- The graph.
CREATE TABLE node (
    rid    INTEGER PRIMARY KEY,
    tenant INTEGER NOT NULL,
    kind   INTEGER NOT NULL,
    id     TEXT NOT NULL,
    props  BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX node_id ON node (tenant, kind, id);

CREATE TABLE edge (
    rid    INTEGER PRIMARY KEY,
    tenant INTEGER NOT NULL,
    kind   INTEGER NOT NULL,
    src    INTEGER NOT NULL,
    dst    INTEGER NOT NULL,
    key    TEXT NOT NULL,
    props  BLOB
) STRICT;
CREATE UNIQUE INDEX edge_out ON edge (tenant, kind, src, dst, key);
CREATE INDEX edge_in ON edge (tenant, kind, dst, src);

-- Records whose text is indexed; the texts are in one full-text table per tenant, `text_<tenant>`, under the same row ids.
CREATE TABLE passage (
    rid    INTEGER PRIMARY KEY,
    tenant INTEGER NOT NULL,
    kind   INTEGER NOT NULL,
    id     TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX passage_id ON passage (tenant, kind, id);

-- Vectors: which record each belongs to, apart from the exact numbers, since a search looks at many of the former and few of the
-- latter; and the signs of the numbers, many vectors to a row, small enough to be gone through for every search.
CREATE TABLE space (
    key        INTEGER PRIMARY KEY,
    tenant     INTEGER NOT NULL,
    kind       INTEGER NOT NULL,
    property   TEXT NOT NULL,
    dimensions INTEGER NOT NULL,
    UNIQUE (tenant, kind, property, dimensions)
) STRICT;

CREATE TABLE vector (
    rid    INTEGER PRIMARY KEY AUTOINCREMENT,
    tenant INTEGER NOT NULL,
    kind   INTEGER NOT NULL,
    id     TEXT NOT NULL,
    space  INTEGER NOT NULL,
    code   INTEGER NOT NULL -- row of `code` that has its signs
) STRICT;
CREATE UNIQUE INDEX vector_id ON vector (tenant, kind, id, space);

CREATE TABLE vector_data (
    rid  INTEGER PRIMARY KEY, -- of the vector
    data BLOB NOT NULL        -- 32-bit floats, little endian, of length 1
) STRICT;

CREATE TABLE code (
    rid     INTEGER PRIMARY KEY,
    space   INTEGER NOT NULL,
    size    INTEGER NOT NULL, -- number of vectors in it
    vectors BLOB NOT NULL,    -- their row ids, 64-bit integers, little endian
    signs   BLOB NOT NULL     -- in the same order, eight dimensions to a byte
) STRICT;
CREATE INDEX code_space ON code (space, size);

-- Rows of the relational tables.
CREATE TABLE record (
    rid    INTEGER PRIMARY KEY,
    tenant INTEGER NOT NULL,
    kind   INTEGER NOT NULL,
    id     TEXT NOT NULL,
    props  BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX record_id ON record (tenant, kind, id);

-- What may refuse a change. A record's key is never used again after it went, so links of a past record mean nothing.
CREATE TABLE registry (
    rid     INTEGER PRIMARY KEY AUTOINCREMENT,
    tenant  INTEGER NOT NULL,
    kind    INTEGER NOT NULL,
    id      TEXT NOT NULL,
    version INTEGER NOT NULL,
    digests BLOB NOT NULL -- of the properties
) STRICT;
CREATE UNIQUE INDEX registry_id ON registry (tenant, kind, id);

CREATE TABLE taken (
    tenant   INTEGER NOT NULL,
    kind     INTEGER NOT NULL,
    property TEXT NOT NULL,
    value    TEXT NOT NULL, -- JSON
    id       TEXT NOT NULL,
    PRIMARY KEY (tenant, kind, property, value)
) STRICT, WITHOUT ROWID;
CREATE INDEX taken_by ON taken (tenant, kind, id, property);

CREATE TABLE link (
    tenant  INTEGER NOT NULL,
    kind    INTEGER NOT NULL,
    src     INTEGER NOT NULL, -- of the registry
    dst     INTEGER NOT NULL,
    key     TEXT NOT NULL,
    digests BLOB,
    PRIMARY KEY (tenant, kind, src, dst, key)
) STRICT, WITHOUT ROWID;

-- The log, and how far it was followed.
CREATE TABLE log (
    rid     INTEGER PRIMARY KEY,
    tenant  INTEGER NOT NULL,
    seq     INTEGER NOT NULL,
    at      TEXT NOT NULL,
    actor   TEXT,
    change  TEXT NOT NULL,
    effects TEXT NOT NULL,
    UNIQUE (tenant, seq)
) STRICT;

CREATE TABLE idempotency (
    tenant  INTEGER NOT NULL,
    key     TEXT NOT NULL,
    digest  BLOB NOT NULL,
    seq     INTEGER NOT NULL,
    effects TEXT NOT NULL,
    at      TEXT NOT NULL,
    UNIQUE (tenant, key)
) STRICT;

CREATE TABLE position (
    tenant   INTEGER NOT NULL,
    follower TEXT NOT NULL,
    seq      INTEGER NOT NULL,
    PRIMARY KEY (tenant, follower)
) STRICT, WITHOUT ROWID;

-- Fixed statistics, so that plans are those that were tested and do not change while data comes in: a type has many records, a
-- node few relationships of one type.
ANALYZE;
INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES
    ('node', 'node_id', '1000000 1000000 100000 1'),
    ('passage', 'passage_id', '1000000 1000000 100000 1'),
    ('vector', 'vector_id', '1000000 1000000 100000 1 1'),
    ('record', 'record_id', '1000000 1000000 100000 1'),
    ('edge', 'edge_out', '10000000 10000000 1000000 10 1 1'),
    ('edge', 'edge_in', '10000000 10000000 1000000 10 1');
