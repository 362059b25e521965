-- The tables are those of PostgreSQL, where each is explained. `replaces` may outlive its row.
CREATE TABLE replacement (
    key      BLOB PRIMARY KEY REFERENCES event,
    replaces BLOB NOT NULL,
    markers  TEXT NOT NULL CHECK (markers <> '')
) STRICT, WITHOUT ROWID;
ALTER TABLE dead_letter ADD COLUMN replaced_by BLOB;
