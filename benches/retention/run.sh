#!/usr/bin/env bash
# What retention costs the hot path, as docs/ledger-layout.md tells: events/s of the ledger's three writes over a ledger of old
# rows, without the index that finds them, with it, and while they are removed as the worker does it: its own statement for
# 1,000 rows, then a pause nine times as long. The variants take turns, since machines have moods.
# Usage: benches/retention/run.sh [seconds of each run] [old rows] [rounds]
# Needs psql and pgbench on the path; connects as they do (PGHOST, PGPORT, PGUSER); makes and drops a database. Keep fsync on.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
migrations=$here/../../migrations/postgres
seconds=${1:-20}
rows=${2:-1000000}
rounds=${3:-3}
database=retention_spike
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

in_database() { psql -qAtX -d "$database" -v ON_ERROR_STOP=1 "$@"; }
old_rows() { in_database -c 'SELECT count(*) FROM event WHERE lane = 63'; }

# The worker's own statement. $1 to $4 are ages: all a day, dead letters ninety. $5 and $6 are where it goes on, $7 the limit,
# $8 what time it is at most.
day=86400000
{
  echo "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS began \\gset"
  sed -n '/^const PURGE/,/";$/p' "$here/../../src/ledger/postgres/purge.rs" | sed '1d; s/";$/ \\gset/' |
    sed "s/\$1/$day/; s/\$2/$day/; s/\$3/7776000000/; s/\$4/$day/; s/\$5/:accepted_at::bigint/; s/\$6/:key::bytea/; s/\$7/1000/; s/\$8/253402300799999/"
  echo "SELECT 9 * ((extract(epoch FROM clock_timestamp()) * 1000000)::bigint - :began::bigint) AS pause \\gset"
  echo "\\sleep :pause us"
} > "$folder/purge.sql"

b=0
hot_path() {
  b=$((b + 100000))
  pgbench -n -M prepared -c 4 -j 1 -T "$seconds" -D b=$b -f "$here/../ledger_layout/adopted.batch.sql" "$database" |
    awk '/number of transactions actually processed/ { print int($NF * 500 / '"$seconds"') }'
}

psql -qX -d postgres -c 'SET client_min_messages = warning' -c "DROP DATABASE IF EXISTS $database"
psql -qX -d postgres -c "CREATE DATABASE $database"
cat "$migrations"/*.sql > "$folder/tables.sql"
in_database -f "$folder/tables.sql" -f "$here/../ledger_layout/payload.sql" \
  -c 'INSERT INTO lane (lane, epoch, clean) SELECT n, 1, true FROM generate_series(0, 63) n'
in_database -v rows="$rows" -f "$here/old_rows.sql" -c 'VACUUM ANALYZE' -c CHECKPOINT

printf '%-16s %9s %15s\n' variant events/s old_rows_gone/s
for _ in $(seq "$rounds"); do
  in_database -c 'DROP INDEX input_accepted'
  printf '%-16s %9s\n' without_index "$(hot_path)"
  in_database -f "$migrations/0003_retention.sql"
  printf '%-16s %9s\n' with_index "$(hot_path)"
  before=$(old_rows)
  pgbench -n -M prepared -c 1 -T "$seconds" -D accepted_at=0 -D key='\x' -f "$folder/purge.sql" "$database" > "$folder/purge.log" 2>&1 &
  job=$!
  events=$(hot_path)
  wait "$job" || { cat "$folder/purge.log"; exit 1; }
  printf '%-16s %9s %15s\n' removing "$events" $(((before - $(old_rows)) / seconds))
done
in_database -c "SELECT 'HOT updates of event: ' || round(100.0 * n_tup_hot_upd / n_tup_upd, 1) || ' %' FROM pg_stat_user_tables WHERE relname = 'event'"
psql -qX -d postgres -c "DROP DATABASE $database"
