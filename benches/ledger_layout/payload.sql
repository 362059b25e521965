-- 256 incompressible values of 1,200 bytes, as sealed bytes are, and what makes batches of them.
CREATE TABLE payload (n int PRIMARY KEY, bytes bytea NOT NULL);
ALTER TABLE payload ALTER bytes SET STORAGE EXTERNAL;
INSERT INTO payload
SELECT n, (SELECT substring(string_agg(sha256((random()::text || n || i)::bytea), ''::bytea) FOR 1200) FROM generate_series(1, 38) i)
FROM generate_series(0, 255) n;

-- 500 sorted keys of a batch.
CREATE FUNCTION keys(lane int, batch int) RETURNS bytea[] LANGUAGE sql STABLE AS
$$ SELECT ARRAY(SELECT decode(md5(lane || ':' || batch || ':' || n), 'hex') FROM generate_series(1, 500) n ORDER BY 1) $$;

-- 500 payloads of a size.
CREATE FUNCTION payloads(batch int, size int) RETURNS bytea[] LANGUAGE sql STABLE AS
$$ SELECT ARRAY(SELECT substring(p.bytes FOR size) FROM generate_series(1, 500) i JOIN payload p ON p.n = (i * 7 + batch) % 256) $$;
