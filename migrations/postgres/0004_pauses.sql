-- Why no worker takes or begins events: one row a kind, read about once a second by every worker, so that a restart does not
-- forget it. It is small, and empty nearly always.
CREATE TABLE pause (
    kind  text        PRIMARY KEY CHECK (kind IN ('operator', 'flood_guard')),
    since timestamptz NOT NULL DEFAULT now(),
    actor text        NOT NULL,
    why   text
);
