-- Documents that are published for a tenant: its clients may name them by their ids. `documents` counts the changes to them, so that whoever
-- keeps them in memory knows when to look again.
ALTER TABLE tenant ADD COLUMN documents INTEGER NOT NULL DEFAULT 0;

CREATE TABLE document (
    tenant INTEGER NOT NULL,
    id     TEXT NOT NULL,
    text   TEXT NOT NULL,
    at     TEXT NOT NULL, -- when it was published
    PRIMARY KEY (tenant, id)
) STRICT;
