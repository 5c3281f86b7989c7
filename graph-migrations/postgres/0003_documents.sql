-- Documents that are published for a tenant: its clients may name them by their ids. `documents` counts the changes to them, so that whoever
-- keeps them in memory knows when to look again.
ALTER TABLE tenant ADD COLUMN documents bigint NOT NULL DEFAULT 0;

CREATE TABLE document (
    tenant bigint NOT NULL,
    id     text COLLATE "C" NOT NULL,
    text   text NOT NULL,
    at     text NOT NULL, -- when it was published
    PRIMARY KEY (tenant, id)
);
ALTER TABLE document ENABLE ROW LEVEL SECURITY;
ALTER TABLE document FORCE ROW LEVEL SECURITY;
CREATE POLICY one_tenant ON document USING (tenant = current_tenant()) WITH CHECK (tenant = current_tenant());

-- Looks beyond one tenant, as `published()` does.
CREATE FUNCTION document_changes() RETURNS TABLE (name text, documents bigint) LANGUAGE sql STABLE SECURITY DEFINER SET search_path FROM CURRENT
    BEGIN ATOMIC
        SELECT t.name, t.documents FROM tenant t WHERE t.documents > 0 ORDER BY t.name;
    END;
