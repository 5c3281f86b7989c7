-- The audit trail: a chain of records for each tenant, and one (named '') for what concerns none. Each has the hash of itself and of the
-- one before it. Records are added and, from the old end, removed; the anchor says where what is kept begins.
CREATE TABLE audit (
    whose  TEXT NOT NULL,
    seq    INTEGER NOT NULL,
    record TEXT NOT NULL,
    hash   BLOB NOT NULL,
    PRIMARY KEY (whose, seq)
) STRICT, WITHOUT ROWID;

CREATE TABLE audit_anchor (
    whose TEXT PRIMARY KEY,
    seq   INTEGER NOT NULL,
    hash  BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TRIGGER audit_is_not_changed BEFORE UPDATE ON audit
BEGIN
    SELECT RAISE(ABORT, 'records of the audit trail are not changed');
END;

CREATE TRIGGER audit_is_removed_from_its_old_end BEFORE DELETE ON audit
WHEN OLD.seq > coalesce((SELECT seq FROM audit_anchor WHERE whose = OLD.whose), 0)
BEGIN
    SELECT RAISE(ABORT, 'records of the audit trail are removed from its old end');
END;
