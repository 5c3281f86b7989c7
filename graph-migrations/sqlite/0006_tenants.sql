-- The life of a tenant. One that is suspended is served to nobody, one that is leaving is being deleted, and of one that is gone the name is
-- left, so that its key is never given to another, and the number of its last ontology. Instants are RFC 3339 in UTC.
ALTER TABLE tenant ADD COLUMN suspended TEXT;
ALTER TABLE tenant ADD COLUMN reason TEXT; -- why it was suspended
ALTER TABLE tenant ADD COLUMN leaving TEXT;
ALTER TABLE tenant ADD COLUMN gone TEXT;
ALTER TABLE tenant ADD COLUMN plan TEXT; -- what it may use, where that was set for it alone while the gateway runs; JSON

-- When it was published; unknown for those from before.
ALTER TABLE ontology ADD COLUMN at TEXT;
