-- The ledger of one process. The tables are those of PostgreSQL, where each is explained. Times are milliseconds since
-- 1970 by this machine's clock.

CREATE TABLE ledger (
    only_row        INTEGER PRIMARY KEY CHECK (only_row = 1),
    ledger_id       BLOB NOT NULL CHECK (length(ledger_id) = 8),
    sealed_hash_key BLOB NOT NULL,
    cluster_id      TEXT,
    consumer_group  TEXT,
    topic           TEXT,
    adopted_at      INTEGER
) STRICT;

CREATE TABLE lane (
    lane          INTEGER PRIMARY KEY,
    owner         TEXT,
    epoch         INTEGER NOT NULL,
    clean         INTEGER NOT NULL,
    position      INTEGER,
    saved_cursor  INTEGER NOT NULL DEFAULT 0,
    suspect_below INTEGER NOT NULL DEFAULT 0,
    topic_id      TEXT
) STRICT;

CREATE TABLE input (
    key              BLOB    PRIMARY KEY CHECK (length(key) = 16),
    lane             INTEGER NOT NULL,
    record_offset    INTEGER NOT NULL,
    record_timestamp INTEGER NOT NULL,
    payload_hash     BLOB    NOT NULL,
    accepted_at      INTEGER NOT NULL DEFAULT (CAST(unixepoch('subsec') * 1000 AS INTEGER)),
    source           TEXT,
    id               TEXT,
    customer_system  TEXT,
    customer_id      TEXT
) STRICT, WITHOUT ROWID;
CREATE INDEX input_id ON input (id) WHERE id IS NOT NULL;

CREATE TABLE event (
    key              BLOB    PRIMARY KEY REFERENCES input,
    lane             INTEGER NOT NULL,
    epoch            INTEGER NOT NULL,
    state            INTEGER NOT NULL CHECK (state BETWEEN 1 AND 5),
    possibly_sent    INTEGER NOT NULL,
    generation       INTEGER NOT NULL,
    convert_attempts INTEGER NOT NULL DEFAULT 0,
    link_attempts    INTEGER NOT NULL DEFAULT 0,
    lookup_attempts  INTEGER NOT NULL DEFAULT 0,
    publish_seq      INTEGER,
    spent_ms         INTEGER NOT NULL DEFAULT 0,
    due_at           INTEGER,
    first_failed_at  INTEGER,
    ended_at         INTEGER,
    reason_code      TEXT,
    reason_stage     TEXT,
    timeline         TEXT
) STRICT, WITHOUT ROWID;

CREATE TABLE sealed_record (
    key           BLOB    PRIMARY KEY REFERENCES event,
    lane          INTEGER NOT NULL,
    record_offset INTEGER NOT NULL,
    kept          INTEGER NOT NULL,
    bytes         BLOB    NOT NULL
) STRICT;
CREATE INDEX sealed_record_unfinished ON sealed_record (lane, record_offset) WHERE NOT kept;

CREATE TABLE sealed_token (
    key     BLOB PRIMARY KEY REFERENCES event,
    bytes   BLOB NOT NULL,
    account TEXT NOT NULL
) STRICT;

CREATE TABLE outbox (
    lane        INTEGER NOT NULL,
    publish_seq INTEGER NOT NULL,
    n           INTEGER NOT NULL,
    topic_role  INTEGER NOT NULL,
    key         BLOB,
    value       BLOB    NOT NULL,
    headers     TEXT    NOT NULL,
    PRIMARY KEY (lane, publish_seq, n)
) STRICT;

CREATE TABLE audit (
    n      INTEGER PRIMARY KEY,
    at     INTEGER NOT NULL DEFAULT (CAST(unixepoch('subsec') * 1000 AS INTEGER)),
    actor  TEXT NOT NULL,
    act    TEXT NOT NULL,
    target TEXT NOT NULL,
    why    TEXT
) STRICT;
