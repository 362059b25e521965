-- The tables are those of PostgreSQL, where each is explained. A number is never given twice, also after its note is gone.

CREATE TABLE note (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    key    BLOB    NOT NULL REFERENCES event,
    kind   INTEGER NOT NULL CHECK (kind IN (1, 2)),
    at     INTEGER NOT NULL DEFAULT (CAST(unixepoch('subsec') * 1000 AS INTEGER))
) STRICT;

ALTER TABLE event ADD COLUMN starts INTEGER NOT NULL DEFAULT 0;
