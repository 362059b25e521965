-- The statements of src/ledger/postgres in their shape, on the tables of the migration.
\set b :b + 1
WITH held AS (SELECT lane, epoch FROM lane WHERE lane = :client_id AND epoch = 1 FOR NO KEY UPDATE),
r AS MATERIALIZED (SELECT * FROM unnest(keys(:client_id, :b), payloads(:b, 1200)) r(key, record)),
ins AS (INSERT INTO input (key, lane, record_offset, record_timestamp, payload_hash, source, id, customer_system, customer_id)
  SELECT r.key, h.lane, :b * 500, 0, sha256(r.key), 'https://shop.example/checkout', encode(r.key, 'hex'), 'loanpro', '123456'
  FROM r, held h ORDER BY r.key ON CONFLICT DO NOTHING RETURNING key),
news AS MATERIALIZED (SELECT r.*, h.lane, h.epoch FROM ins JOIN r USING (key), held h),
ev AS (INSERT INTO event (key, lane, epoch, state, possibly_sent, generation) SELECT key, lane, epoch, 1, false, 1 FROM news),
rec AS (INSERT INTO sealed_record SELECT key, lane, :b * 500, false, record FROM news)
UPDATE lane SET position = GREATEST(position, :b * 500) WHERE lane = (SELECT lane FROM held) AND (SELECT count(*) FROM news) = 500;
WITH held AS (SELECT lane FROM lane WHERE lane = :client_id AND epoch = 1 FOR NO KEY UPDATE),
r AS MATERIALIZED (SELECT * FROM unnest(keys(:client_id, :b - 2), payloads(:b, 1200)) r(key, token)),
upd AS (UPDATE event e SET state = 2, due_at = NULL, convert_attempts = 1 FROM r, held h
  WHERE e.key = r.key AND e.lane = h.lane AND state = 1 RETURNING e.key)
INSERT INTO sealed_token SELECT key, r.token, '{"kind":"card","lastFour":"1111"}' FROM r JOIN upd USING (key);
WITH held AS (SELECT lane FROM lane WHERE lane = :client_id AND epoch = 1 FOR NO KEY UPDATE),
r AS MATERIALIZED (SELECT * FROM unnest(keys(:client_id, :b - 4), payloads(:b, 900)) WITH ORDINALITY r(key, result, n)),
upd AS (UPDATE event e SET state = 3, publish_seq = :b * 500 + r.n, ended_at = now(), link_attempts = 1 FROM r, held h
  WHERE e.key = r.key AND e.lane = h.lane AND state IN (1, 2) RETURNING e.key, e.lane, e.publish_seq, r.result),
unrec AS (DELETE FROM sealed_record s USING upd WHERE s.key = upd.key),
untok AS (DELETE FROM sealed_token s USING upd WHERE s.key = upd.key)
INSERT INTO outbox SELECT lane, publish_seq, 0, 1, '123456', result, '[["content-type","YXBwbGljYXRpb24vY2xvdWRldmVudHMranNvbg=="]]' FROM upd;
DELETE FROM outbox WHERE lane = :client_id AND publish_seq <= (:b - 8) * 500;
