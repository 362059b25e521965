-- An event that takes the place of a dead letter which a person edited: whose, and the markers (8 characters each, a space between
-- two) that the profiles of the replaced events would carry in their titles. It goes with the new event's row, not with the replaced
-- one's, which is older. Small: people make these rows one by one.
CREATE TABLE replacement (
    key      bytea PRIMARY KEY,
    replaces bytea NOT NULL,
    markers  text  NOT NULL CHECK (markers <> '')
);
-- The event that took its place: it stays discarded.
ALTER TABLE dead_letter ADD COLUMN replaced_by bytea;
