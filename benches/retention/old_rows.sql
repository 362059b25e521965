-- Old rows as a worker leaves them: linked, published and two days old, a hundredth dead-lettered with its secrets kept.
-- :rows is how many.
UPDATE lane SET saved_cursor = :rows WHERE lane = 63;
INSERT INTO input (key, lane, record_offset, record_timestamp, payload_hash, accepted_at, source, id, customer_system, customer_id)
SELECT decode(md5('old:' || n), 'hex'), 63, n, 0, sha256('old'), now() - interval '2 days' + n / 500 * interval '50 milliseconds',
  'https://shop.example/checkout', 'old-' || n, 'loanpro', '123456'
FROM generate_series(1, :rows) n;
INSERT INTO event (key, lane, epoch, state, possibly_sent, generation, publish_seq, ended_at)
SELECT key, 63, 1, CASE WHEN record_offset % 100 = 0 THEN 5 ELSE 3 END, false, 1, record_offset, accepted_at + interval '1 second' FROM input;
INSERT INTO sealed_record SELECT i.key, 63, record_offset, true, bytes FROM input i JOIN payload p ON p.n = record_offset % 256
WHERE record_offset % 100 = 0;
