-- :letters dead letters of three reasons and 50,000 customers, beside :others events that were linked; as the ledger's own writes
-- leave them.
INSERT INTO lane (lane, epoch, clean, saved_cursor) SELECT n, 1, true, 1000000000 FROM generate_series(0, 15) n;

CREATE TEMPORARY TABLE made AS
SELECT n, decode(md5(n::text), 'hex') AS key, n <= :letters AS dead, now() - n * interval '1 second' AS at,
    (ARRAY['retries_exhausted', 'link_unknown', 'conversion_unknown'])[1 + n % 3] AS reason
FROM generate_series(1, :letters + :others) n;

INSERT INTO input (key, lane, record_offset, record_timestamp, payload_hash, accepted_at, source, id, customer_system, customer_id)
SELECT key, n % 16, n, extract(epoch FROM at) * 1000, sha256(key), at, 'https://shop.example/checkout', 'order-' || n, 'loanpro',
    (1 + n % 50000)::text
FROM made;

INSERT INTO event (key, lane, epoch, state, possibly_sent, generation, link_attempts, lookup_attempts, publish_seq, ended_at,
    reason_code, reason_stage, timeline)
SELECT key, n % 16, 1, CASE WHEN dead THEN 5 ELSE 3 END, false, 1, 3, 2, n, at + interval '1 second',
    CASE WHEN dead THEN reason END, CASE WHEN dead THEN 'link' END, repeat('1763719000000 loanpro.link unknown 503 12' || chr(10), 5)
FROM made;

INSERT INTO sealed_record (key, lane, record_offset, kept, bytes)
SELECT key, n % 16, n, true, decode(repeat(md5(n::text), 75), 'hex') FROM made WHERE dead;

INSERT INTO dead_letter
SELECT e.key, 1, e.generation, i.accepted_at, i.lane, i.record_offset, i.record_timestamp, i.source, i.id, i.customer_system,
    i.customer_id, e.reason_code, e.reason_stage, e.convert_attempts, e.link_attempts, e.lookup_attempts, e.ended_at
FROM event e JOIN input i ON i.key = e.key WHERE e.state = 5;
