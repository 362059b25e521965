-- The dead letters, for people: what is asked of them (which, how many, the oldest first) in one narrow table, since `event` must
-- have no index on what its updates change. Inserted in the write that dead-letters, deleted with the end of a replay that
-- succeeded or was refused for good, and with its row. The event's row decides; this one only adds whether a person discarded it.
-- state: 1 dead-lettered, 2 replaying, 3 discarded. lane, record_offset, record_timestamp: where the record stood, as in `input`.
CREATE TABLE dead_letter (
    key              bytea    PRIMARY KEY,
    state            smallint NOT NULL CHECK (state BETWEEN 1 AND 3),
    generation       integer  NOT NULL,
    accepted_at      timestamptz NOT NULL,
    lane             integer  NOT NULL,
    record_offset    bigint   NOT NULL,
    record_timestamp bigint   NOT NULL,
    source           text,
    id               text,
    customer_system  text,
    customer_id      text,
    reason_code      text     NOT NULL,
    reason_stage     text     NOT NULL,
    convert_attempts integer  NOT NULL,
    link_attempts    integer  NOT NULL,
    lookup_attempts  integer  NOT NULL,
    dead_lettered_at timestamptz NOT NULL
);
-- Its pages: the oldest first, and those of one customer (who has one partition) in the order of the input.
CREATE INDEX dead_letter_place ON dead_letter (accepted_at, lane, record_offset, key);

-- As many notes as dead letters, while they are replayed: found by their event, and read in their order.
CREATE INDEX note_key ON note (key);
CREATE INDEX note_order ON note (kind, number);

-- Those that are there already. A dead letter is exactly what has ended and kept its record; none was replayed before this
-- version but by hand.
INSERT INTO dead_letter
SELECT e.key, CASE e.state WHEN 5 THEN 1 ELSE 2 END, e.generation, i.accepted_at, i.lane, i.record_offset, i.record_timestamp,
    i.source, i.id, i.customer_system, i.customer_id, COALESCE(e.reason_code, 'retries_exhausted'),
    COALESCE(e.reason_stage, 'link'), e.convert_attempts, e.link_attempts, e.lookup_attempts, COALESCE(e.ended_at, now())
FROM sealed_record s
JOIN event e ON e.key = s.key
JOIN input i ON i.key = s.key
WHERE e.state = 5 OR e.generation > 1;
