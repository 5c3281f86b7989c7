-- The life of a tenant. One that is suspended is served to nobody, one that is leaving is being deleted, and of one that is gone the name is
-- left, so that its key is never given to another, and the number of its last ontology. Instants are RFC 3339 in UTC.
ALTER TABLE tenant ADD COLUMN suspended text;
ALTER TABLE tenant ADD COLUMN reason text; -- why it was suspended
ALTER TABLE tenant ADD COLUMN leaving text;
ALTER TABLE tenant ADD COLUMN gone text;
ALTER TABLE tenant ADD COLUMN plan text; -- what it may use, where that was set for it alone while the gateway runs; JSON

-- When it was published; unknown for those from before.
ALTER TABLE ontology ADD COLUMN at text;

-- One that is gone is not there, except for its audit trail.
CREATE OR REPLACE FUNCTION tenant_key(wanted text) RETURNS bigint LANGUAGE sql STABLE SECURITY DEFINER SET search_path FROM CURRENT
    BEGIN ATOMIC
        SELECT key FROM tenant WHERE name = wanted AND gone IS NULL;
    END;

CREATE FUNCTION trail_key(wanted text) RETURNS bigint LANGUAGE sql STABLE SECURITY DEFINER SET search_path FROM CURRENT
    BEGIN ATOMIC
        SELECT key FROM tenant WHERE name = wanted;
    END;

CREATE OR REPLACE FUNCTION published() RETURNS TABLE (name text, version bigint) LANGUAGE sql STABLE SECURITY DEFINER SET search_path FROM CURRENT
    BEGIN ATOMIC
        SELECT t.name, t.version FROM tenant t WHERE t.version > 0 AND t.leaving IS NULL AND t.gone IS NULL ORDER BY t.name;
    END;

-- Looks beyond one tenant, as `published()` does.
CREATE FUNCTION tenants() RETURNS TABLE (name text, version bigint, documents bigint, head bigint, suspended text, reason text, leaving text, gone text, plan text)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path FROM CURRENT
    BEGIN ATOMIC
        SELECT t.name, t.version, t.documents, t.head, t.suspended, t.reason, t.leaving, t.gone, t.plan FROM tenant t ORDER BY t.name;
    END;
