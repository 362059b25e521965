-- Nothing is added; see the same step of PostgreSQL.
SELECT 1;
