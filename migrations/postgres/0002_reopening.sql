-- What one worker, or an operator, leaves for whoever owns an event's lane: the only write without a condition on the epoch.
-- Read by the owners about once a second and removed when acted on, so it is empty nearly always. It names no lane: the
-- event does. Never one row a key: a note that is just being acted on would swallow one that says something new.
-- kind: 1 a link outcome was refused by epoch, 2 the row was reopened.
CREATE TABLE note (
    number bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    key    bytea       NOT NULL,
    kind   smallint    NOT NULL CHECK (kind IN (1, 2)),
    at     timestamptz NOT NULL DEFAULT now()
);

-- How often it was started again after an unclean end during which it was running; never written on the hot path.
ALTER TABLE event ADD COLUMN starts integer NOT NULL DEFAULT 0;
