-- The table is that of PostgreSQL, where it is explained.
CREATE TABLE pause (
    kind  TEXT    PRIMARY KEY CHECK (kind IN ('operator', 'flood_guard')),
    since INTEGER NOT NULL DEFAULT (CAST(unixepoch('subsec') * 1000 AS INTEGER)),
    actor TEXT    NOT NULL,
    why   TEXT
) STRICT;
