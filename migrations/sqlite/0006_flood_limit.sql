-- The table is that of PostgreSQL, where it is explained.
CREATE TABLE flood_limit (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    run      INTEGER CHECK (run > 0),
    share    REAL    CHECK (share > 0),
    since    INTEGER NOT NULL DEFAULT (CAST(unixepoch('subsec') * 1000 AS INTEGER)),
    actor    TEXT    NOT NULL,
    why      TEXT
) STRICT;
