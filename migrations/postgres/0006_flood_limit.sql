-- The flood guard's limits that an operator named when the intake was resumed last, in the place of the configured ones; read with
-- `pause` by every worker. Empty nearly always.
CREATE TABLE flood_limit (
    only_row boolean          PRIMARY KEY DEFAULT true CHECK (only_row),
    run      bigint           CHECK (run > 0),
    share    double precision CHECK (share > 0),
    since    timestamptz      NOT NULL DEFAULT now(),
    actor    text             NOT NULL,
    why      text
);
