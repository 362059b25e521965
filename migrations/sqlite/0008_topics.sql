-- The column is that of PostgreSQL, where it is explained.
ALTER TABLE sealed_record ADD COLUMN topic TEXT;
