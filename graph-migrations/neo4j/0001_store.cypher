// What the gateway needs for itself, beside what publishing an ontology makes: notes of how far logs were followed, one for each
// tenant; words of rows, and of nodes of a database that others wrote; and the full text of all texts, with their tenant.
// Each statement ends with a semicolon and can be run twice: making an index is no part of a transaction that notes that it was made.

CREATE CONSTRAINT IF NOT EXISTS FOR (q:_Quipu) REQUIRE q._tenant IS UNIQUE;

CREATE CONSTRAINT IF NOT EXISTS FOR (n:_Row) REQUIRE (n._tenant, n._of, n.id) IS UNIQUE;

CREATE CONSTRAINT IF NOT EXISTS FOR (t:_QuipuText) REQUIRE (t._tenant, t._of, t.id) IS UNIQUE;

CREATE FULLTEXT INDEX _quipu_text IF NOT EXISTS FOR (n:_Text) ON EACH [n._text, n._scope]
OPTIONS {indexConfig: {`fulltext.analyzer`: 'standard-no-stop-words'}};
