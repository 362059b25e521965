CREATE TABLE lane (lane int PRIMARY KEY, epoch bigint NOT NULL, clean bool, position bigint NOT NULL DEFAULT 0) WITH (fillfactor = 20);
CREATE TABLE event (
  key bytea PRIMARY KEY, lane int NOT NULL, epoch bigint NOT NULL, record_offset bigint NOT NULL, record_timestamp bigint NOT NULL,
  state smallint NOT NULL, attempts int NOT NULL DEFAULT 0, publish_seq bigint, payload_hash bytea NOT NULL,
  source text, id text, customer_id text, record bytea, token bytea, result bytea
) WITH (fillfactor = 60);
CREATE INDEX event_id ON event (id);
CREATE INDEX event_unfinished ON event (lane, record_offset) WHERE state IN (1, 2);
