-- The topic that a sealed record came from, where it is another than the one that the ledger serves now: what was sealed is bound to
-- it. Written by an adoption alone, so acceptance pays nothing for it.
ALTER TABLE sealed_record ADD COLUMN topic text;
