-- Old rows are found by when they were accepted.
CREATE INDEX input_accepted ON input (accepted_at);
