-- Nothing is added. From here on a row can be another lane's than the partition of its record: a build that takes one for the other,
-- and would open nothing of such rows, must not serve this ledger.
SELECT 1;
