CREATE TABLE event (
  key uuid PRIMARY KEY, lane int NOT NULL, epoch bigint NOT NULL, record_offset bigint NOT NULL, record_timestamp bigint NOT NULL,
  state smallint NOT NULL, attempts int NOT NULL DEFAULT 0, publish_seq bigint, payload_hash bytea NOT NULL
) WITH (fillfactor = 40);
CREATE TABLE detail (key uuid PRIMARY KEY, source text, id text, customer_id text);
CREATE INDEX detail_id ON detail (id);
CREATE TABLE outbox (lane int, publish_seq bigint, value bytea NOT NULL, PRIMARY KEY (lane, publish_seq));
ALTER TABLE outbox ALTER value SET STORAGE EXTERNAL;
CREATE TABLE sealed_record (key uuid PRIMARY KEY, lane int NOT NULL, record_offset bigint NOT NULL, kept bool NOT NULL, bytes bytea NOT NULL);
CREATE INDEX sealed_record_unfinished ON sealed_record (lane, record_offset) WHERE NOT kept;
CREATE TABLE sealed_token (key uuid PRIMARY KEY, bytes bytea NOT NULL);
ALTER TABLE sealed_record ALTER bytes SET STORAGE EXTERNAL;
ALTER TABLE sealed_token ALTER bytes SET STORAGE EXTERNAL;
