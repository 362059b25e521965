\set b :b + 1
WITH held AS (SELECT lane, epoch FROM lane WHERE lane = :client_id AND epoch = 1 FOR NO KEY UPDATE),
r AS MATERIALIZED (SELECT * FROM unnest(keys(:client_id, :b), payloads(:b, 1200)) r(key, record)),
ins AS (INSERT INTO event (key, lane, epoch, record_offset, record_timestamp, state, payload_hash)
  SELECT r.key, h.lane, h.epoch, :b * 500, 0, 1, sha256(r.key) FROM r, held h ON CONFLICT DO NOTHING RETURNING key),
det AS (INSERT INTO detail SELECT key, 'https://shop.example/checkout', encode(key, 'hex'), '123456' FROM ins),
rec AS (INSERT INTO sealed_record SELECT key, r.record FROM r JOIN ins USING (key))
UPDATE lane SET position = :b * 500 WHERE lane = (SELECT lane FROM held) AND (SELECT count(*) FROM ins) = 500;
WITH held AS (SELECT lane FROM lane WHERE lane = :client_id AND epoch = 1 FOR NO KEY UPDATE),
r AS MATERIALIZED (SELECT * FROM unnest(keys(:client_id, :b - 2), payloads(:b, 1200)) r(key, token)),
upd AS (UPDATE event e SET state = 2, attempts = 1 FROM r, held h WHERE e.key = r.key AND e.lane = h.lane AND state = 1 RETURNING e.key)
INSERT INTO sealed_token SELECT key, r.token FROM r JOIN upd USING (key);
WITH held AS (SELECT lane FROM lane WHERE lane = :client_id AND epoch = 1 FOR NO KEY UPDATE),
r AS MATERIALIZED (SELECT * FROM unnest(keys(:client_id, :b - 4), payloads(:b, 900)) WITH ORDINALITY r(key, result, n)),
upd AS (UPDATE event e SET state = 3, publish_seq = :b * 500 + r.n, attempts = 2 FROM r, held h
  WHERE e.key = r.key AND e.lane = h.lane AND state = 2 RETURNING e.key, e.lane, e.publish_seq, r.result),
unrec AS (DELETE FROM sealed_record s USING upd WHERE s.key = upd.key),
untok AS (DELETE FROM sealed_token s USING upd WHERE s.key = upd.key)
INSERT INTO outbox SELECT lane, publish_seq, result FROM upd;
DELETE FROM outbox WHERE lane = :client_id AND publish_seq <= (:b - 8) * 500;
