-- The table is that of PostgreSQL, where it is explained.
CREATE TABLE dead_letter (
    key              BLOB    PRIMARY KEY REFERENCES event,
    state            INTEGER NOT NULL CHECK (state BETWEEN 1 AND 3),
    generation       INTEGER NOT NULL,
    accepted_at      INTEGER NOT NULL,
    lane             INTEGER NOT NULL,
    record_offset    INTEGER NOT NULL,
    record_timestamp INTEGER NOT NULL,
    source           TEXT,
    id               TEXT,
    customer_system  TEXT,
    customer_id      TEXT,
    reason_code      TEXT    NOT NULL,
    reason_stage     TEXT    NOT NULL,
    convert_attempts INTEGER NOT NULL,
    link_attempts    INTEGER NOT NULL,
    lookup_attempts  INTEGER NOT NULL,
    dead_lettered_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX dead_letter_place ON dead_letter (accepted_at, lane, record_offset, key);
CREATE INDEX note_key ON note (key);
CREATE INDEX note_order ON note (kind, number);

INSERT INTO dead_letter
SELECT e.key, CASE e.state WHEN 5 THEN 1 ELSE 2 END, e.generation, i.accepted_at, i.lane, i.record_offset, i.record_timestamp,
    i.source, i.id, i.customer_system, i.customer_id, COALESCE(e.reason_code, 'retries_exhausted'),
    COALESCE(e.reason_stage, 'link'), e.convert_attempts, e.link_attempts, e.lookup_attempts,
    COALESCE(e.ended_at, CAST(unixepoch('subsec') * 1000 AS INTEGER))
FROM sealed_record s
JOIN event e ON e.key = s.key
JOIN input i ON i.key = s.key
WHERE e.state = 5 OR e.generation > 1;
