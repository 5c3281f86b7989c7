-- The audit trail: a chain of records for each tenant, and one (tenant 0) for what concerns none. Each has the hash of itself and of the
-- one before it. Records are added and, from the old end, removed; the anchor says where what is kept begins.
CREATE TABLE audit (
    tenant bigint NOT NULL,
    seq    bigint NOT NULL,
    record text NOT NULL,
    hash   bytea NOT NULL,
    PRIMARY KEY (tenant, seq)
);

CREATE TABLE audit_anchor (
    tenant bigint PRIMARY KEY,
    seq    bigint NOT NULL,
    hash   bytea NOT NULL
);

CREATE FUNCTION audit_is_kept() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    IF TG_OP = 'DELETE' AND OLD.seq <= (SELECT a.seq FROM audit_anchor a WHERE a.tenant = OLD.tenant) THEN
        RETURN OLD;
    END IF;
    RAISE EXCEPTION 'records of the audit trail are added, and removed from its old end';
END
$$;
CREATE TRIGGER audit_is_kept BEFORE UPDATE OR DELETE ON audit FOR EACH ROW EXECUTE FUNCTION audit_is_kept();
CREATE TRIGGER audit_is_not_emptied BEFORE TRUNCATE ON audit FOR EACH STATEMENT EXECUTE FUNCTION audit_is_kept();

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['audit', 'audit_anchor'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY one_tenant ON %I USING (tenant = current_tenant()) WITH CHECK (tenant = current_tenant())', name);
    END LOOP;
END
$$;
