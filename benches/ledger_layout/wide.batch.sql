\set b :b + 1
WITH held AS (SELECT lane, epoch FROM lane WHERE lane = :client_id AND epoch = 1 FOR NO KEY UPDATE),
ins AS (INSERT INTO event (key, lane, epoch, record_offset, record_timestamp, state, payload_hash, source, id, customer_id, record)
  SELECT r.key, h.lane, h.epoch, :b * 500, 0, 1, sha256(r.key), 'https://shop.example/checkout', encode(r.key, 'hex'), '123456', r.record
  FROM unnest(keys(:client_id, :b), payloads(:b, 1200)) r(key, record), held h ON CONFLICT DO NOTHING RETURNING 1)
UPDATE lane SET position = :b * 500 WHERE lane = (SELECT lane FROM held) AND (SELECT count(*) FROM ins) = 500;
WITH held AS (SELECT lane FROM lane WHERE lane = :client_id AND epoch = 1 FOR NO KEY UPDATE)
UPDATE event e SET state = 2, token = r.token, attempts = 1
FROM unnest(keys(:client_id, :b - 2), payloads(:b, 1200)) r(key, token), held h WHERE e.key = r.key AND e.lane = h.lane AND state = 1;
WITH held AS (SELECT lane FROM lane WHERE lane = :client_id AND epoch = 1 FOR NO KEY UPDATE)
UPDATE event e SET state = 3, record = NULL, token = NULL, result = r.result, publish_seq = :b * 500, attempts = 2
FROM unnest(keys(:client_id, :b - 4), payloads(:b, 900)) r(key, result), held h WHERE e.key = r.key AND e.lane = h.lane AND state = 2;
