CREATE TABLE lane (lane int PRIMARY KEY, epoch bigint NOT NULL, clean bool, position bigint NOT NULL DEFAULT 0) WITH (fillfactor = 20);
CREATE TABLE event (
  key bytea PRIMARY KEY, lane int NOT NULL, epoch bigint NOT NULL, record_offset bigint NOT NULL, record_timestamp bigint NOT NULL,
  state smallint NOT NULL, attempts int NOT NULL DEFAULT 0, publish_seq bigint, payload_hash bytea NOT NULL
) WITH (fillfactor = 60);
CREATE TABLE detail (key bytea PRIMARY KEY, source text, id text, customer_id text);
CREATE INDEX detail_id ON detail (id);
CREATE TABLE outbox (lane int, publish_seq bigint, value bytea NOT NULL, PRIMARY KEY (lane, publish_seq));
ALTER TABLE outbox ALTER value SET STORAGE EXTERNAL;
CREATE TABLE sealed_record (key bytea PRIMARY KEY, bytes bytea NOT NULL);
CREATE TABLE sealed_token (key bytea PRIMARY KEY, bytes bytea NOT NULL);
ALTER TABLE sealed_record ALTER bytes SET STORAGE EXTERNAL;
ALTER TABLE sealed_token ALTER bytes SET STORAGE EXTERNAL;
CREATE INDEX event_unfinished ON event (lane, record_offset) WHERE publish_seq IS NULL;
