-- The ledger. docs/ledger-layout.md says why its rows are cut this way, and gives the figures behind it.
-- Times are timestamptz by this server's clock; record timestamps are Kafka's, in milliseconds (-1: none).

-- Who this ledger is and what it serves: one row, made by `migrate`, bound at first use.
CREATE TABLE ledger (
    only_row        boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    ledger_id       bytea NOT NULL CHECK (octet_length(ledger_id) = 8),
    sealed_hash_key bytea NOT NULL,
    cluster_id      text,
    consumer_group  text,
    topic           text,
    adopted_at      timestamptz
);

-- Ownership of an input partition. Every write of a worker locks the rows of its lanes, so they are kept apart (a low
-- fillfactor leaves room for in-page updates).
CREATE TABLE lane (
    lane          integer PRIMARY KEY,
    owner         text,
    epoch         bigint  NOT NULL,
    clean         boolean NOT NULL,
    position      bigint,
    saved_cursor  bigint  NOT NULL DEFAULT 0,
    suspect_below bigint  NOT NULL DEFAULT 0,
    topic_id      text
) WITH (fillfactor = 20);

-- What was accepted: written once, never changed. Its primary key decides which of two records with one identity came
-- first. `source` and `id` are null where a record has no identity of its own (unreadable, or a conflict).
CREATE TABLE input (
    key              bytea    PRIMARY KEY CHECK (octet_length(key) = 16),
    lane             integer  NOT NULL,
    record_offset    bigint   NOT NULL,
    record_timestamp bigint   NOT NULL,
    payload_hash     bytea    NOT NULL,
    accepted_at      timestamptz NOT NULL DEFAULT now(),
    source           text,
    id               text,
    customer_system  text,
    customer_id      text
);
CREATE INDEX input_id ON input (id) WHERE id IS NOT NULL;

-- How far it got: narrow, updated two times on an event's way. No index but the primary key and room in the page keep
-- those updates HOT; an index, or an index condition, on `state` would not only end that, the planner would prefer it.
-- state: 1 accepted, 2 converted, 3 linked, 4 rejected, 5 dead-lettered.
-- publish_seq is the number of the row's last end and stays when the row is reopened: the repeat of a write that was
-- applied after all is recognised by it.
-- timeline: one line a call or step, `ms since 1970, step, outcome, status or -, duration in ms`; at most 16 KB, no secret.
CREATE TABLE event (
    key              bytea    PRIMARY KEY,
    lane             integer  NOT NULL,
    epoch            bigint   NOT NULL,
    state            smallint NOT NULL CHECK (state BETWEEN 1 AND 5),
    possibly_sent    boolean  NOT NULL,
    generation       integer  NOT NULL,
    convert_attempts integer  NOT NULL DEFAULT 0,
    link_attempts    integer  NOT NULL DEFAULT 0,
    lookup_attempts  integer  NOT NULL DEFAULT 0,
    publish_seq      bigint,
    spent_ms         bigint   NOT NULL DEFAULT 0,
    due_at           timestamptz,
    first_failed_at  timestamptz,
    ended_at         timestamptz,
    reason_code      text,
    reason_stage     text,
    timeline         text
) WITH (fillfactor = 40);

-- The original record, sealed: inserted when accepted, deleted when linked or finally rejected. Rows that are not `kept`
-- are exactly the unfinished ones, so their index is the list of unfinished work.
CREATE TABLE sealed_record (
    key           bytea   PRIMARY KEY,
    lane          integer NOT NULL,
    record_offset bigint  NOT NULL,
    kept          boolean NOT NULL,
    bytes         bytea   NOT NULL
);
CREATE INDEX sealed_record_unfinished ON sealed_record (lane, record_offset) WHERE NOT kept;

-- The permanent token, sealed, and the account that the converter described: inserted when converted, deleted as above.
CREATE TABLE sealed_token (
    key     bytea PRIMARY KEY,
    bytes   bytea NOT NULL,
    account text  NOT NULL
);

-- What is to be published: deleted once at or below the lane's saved cursor.
-- topic_role: 1 linked, 2 rejected, 3 dead letter. headers: JSON list of [name, base64].
CREATE TABLE outbox (
    lane        integer  NOT NULL,
    publish_seq bigint   NOT NULL,
    n           smallint NOT NULL,
    topic_role  smallint NOT NULL,
    key         bytea,
    value       bytea    NOT NULL,
    headers     text     NOT NULL,
    PRIMARY KEY (lane, publish_seq, n)
);

-- Sealed bytes do not compress: do not try.
ALTER TABLE sealed_record ALTER bytes SET STORAGE EXTERNAL;
ALTER TABLE sealed_token ALTER bytes SET STORAGE EXTERNAL;
-- These are emptied as fast as they are filled: vacuum by number of rows, not by share of a table that is large at times.
ALTER TABLE sealed_record SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 50000);
ALTER TABLE sealed_token SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 50000);
ALTER TABLE outbox SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 50000);

-- What people did to the ledger.
CREATE TABLE audit (
    n      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at     timestamptz NOT NULL DEFAULT now(),
    actor  text NOT NULL,
    act    text NOT NULL,
    target text NOT NULL,
    why    text
);
