CREATE SCHEMA SCHEMA;
CREATE TYPE SCHEMA.phase AS ENUM ('OPEN', 'SENT', 'LOST');
CREATE DOMAIN SCHEMA.grade AS smallint CHECK (VALUE BETWEEN 1 AND 6);
CREATE TABLE SCHEMA.clients (
    tenant text NOT NULL,
    id text NOT NULL,
    name varchar(20) NOT NULL,
    mail text,
    credit integer NOT NULL DEFAULT 10 CONSTRAINT no_debts CHECK (credit >= 0),
    grade SCHEMA.grade,
    note text NOT NULL DEFAULT 'none',
    PRIMARY KEY (tenant, id),
    CONSTRAINT one_mail UNIQUE (tenant, mail)
);
CREATE TABLE SCHEMA."Sales ""2026""" (
    tenant text NOT NULL,
    "Number" bigint GENERATED ALWAYS AS IDENTITY (START 500),
    client_id text,
    code text NOT NULL,
    state SCHEMA.phase NOT NULL DEFAULT 'OPEN',
    amount numeric(8, 2),
    pieces smallint,
    key uuid,
    placed_at timestamptz(3) NOT NULL DEFAULT now(),
    total numeric GENERATED ALWAYS AS (amount * pieces) STORED,
    tags text[],
    extra jsonb,
    days date[],
    changes integer NOT NULL,
    PRIMARY KEY (tenant, "Number"),
    CONSTRAINT one_code UNIQUE (tenant, code),
    CONSTRAINT of_client FOREIGN KEY (tenant, client_id) REFERENCES SCHEMA.clients (tenant, id) DEFERRABLE INITIALLY DEFERRED,
    CONSTRAINT few CHECK (pieces < 100 AND code <> 'never')
);
CREATE TABLE SCHEMA.log (what text NOT NULL);
CREATE FUNCTION SCHEMA.count_changes() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- Without a schema: what is meant is the log beside the table, and not that of whoever writes.
    INSERT INTO log (what) VALUES (NEW.code);
    IF NEW.code = 'raise' THEN RAISE EXCEPTION 'a secret of the table'; END IF;
    IF NEW.code = 'skip' THEN RETURN NULL; END IF;
    NEW.changes := CASE TG_OP WHEN 'INSERT' THEN 1 ELSE OLD.changes + 1 END;
    RETURN NEW;
END $$;
CREATE TRIGGER counted BEFORE INSERT OR UPDATE ON SCHEMA."Sales ""2026""" FOR EACH ROW EXECUTE FUNCTION SCHEMA.count_changes();
CREATE TABLE SCHEMA.stock (
    tenant text NOT NULL,
    id uuid DEFAULT gen_random_uuid() PRIMARY KEY,
    amount integer NOT NULL,
    place text
);
GRANT USAGE ON SCHEMA SCHEMA TO quipu_login;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA SCHEMA TO quipu_login;
