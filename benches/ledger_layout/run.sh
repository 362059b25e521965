#!/usr/bin/env bash
# Compares row layouts of the PostgreSQL ledger: accepted, converted and ended in batches of 500, as docs/ledger-layout.md tells.
# Usage: benches/ledger_layout/run.sh [seconds for each layout] [connections]
# Needs psql and pgbench on the path; connects as they do (PGHOST, PGPORT, PGUSER); makes and drops a database. Keep fsync on.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
seconds=${1:-15}
connections=${2:-4}
database=ledger_layout_spike

in_database() { psql -qAtX -d "$database" -v ON_ERROR_STOP=1 "$@"; }
tables_of() { if [ "$1" = adopted ]; then cat "$here"/../../migrations/postgres/*.sql; else cat "$here/$1.tables.sql"; fi; }

printf '%-12s %9s %6s %12s %13s\n' layout events/s HOT% WAL_B/event disk_B/event
for layout in wide state_index seq_index open_table adopted; do
  psql -qX -d postgres -c 'SET client_min_messages = warning' -c "DROP DATABASE IF EXISTS $database"
  psql -qX -d postgres -c "CREATE DATABASE $database"
  in_database -f <(tables_of $layout) -f "$here/payload.sql" -c 'INSERT INTO lane (lane, epoch, clean) SELECT n, 1, true FROM generate_series(0, 63) n'
  in_database -c CHECKPOINT
  start=$(in_database -c 'SELECT pg_current_wal_lsn()')
  pgbench -n -M prepared -c "$connections" -j 1 -T "$seconds" -D b=0 -f "$here/$layout.batch.sql" "$database" >/dev/null 2>&1
  events=$(in_database -c 'SELECT count(*) FROM event')
  # Sessions report their counters when they end.
  hot=$(in_database -c "SELECT round(100.0 * n_tup_hot_upd / n_tup_upd, 1) FROM pg_stat_user_tables WHERE relname = 'event'")
  wal=$(in_database -c "SELECT round(pg_wal_lsn_diff(pg_current_wal_lsn(), '$start') / $events)")
  disk=$(in_database -c "SELECT round(sum(pg_total_relation_size(oid)) / $events) FROM pg_class
    WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace AND relname NOT IN ('payload', 'lane')")
  printf '%-12s %9s %6s %12s %13s\n' "$layout" $((events / seconds)) "$hot" "$wal" "$disk"
done
psql -qX -d postgres -c "DROP DATABASE $database"
