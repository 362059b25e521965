-- Old rows are found by when they were accepted. It is never updated, so the updates of `event` stay HOT; batches share one
-- time, and come in its order, so the index stays small and its writes go to one page.
CREATE INDEX input_accepted ON input (accepted_at);
