-- Properties whose texts have vectors. A property that becomes embedded while records are there is gone through in the order of
-- their ids; one that is embedded no more loses its vectors in portions.
CREATE TABLE covered (
    tenant   INTEGER NOT NULL,
    kind     INTEGER NOT NULL,
    property TEXT NOT NULL,
    upto     TEXT,                      -- id of the last record that was gone through; NULL when all were
    leaving  INTEGER NOT NULL DEFAULT 0, -- whether its vectors are being removed
    PRIMARY KEY (tenant, kind, property)
) STRICT, WITHOUT ROWID;
