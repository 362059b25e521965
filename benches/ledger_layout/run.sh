#!/usr/bin/env bash
# Compares row layouts of the PostgreSQL ledger. Usage: benches/ledger_layout/run.sh [seconds] [clients]
# Connects as psql does (PGHOST, PGPORT, PGUSER, ...) and needs the right to create databases. Keep fsync on.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
seconds=${1:-15}
clients=${2:-4}
database=ledger_layout_spike

query() { psql -qAtX -d "$database" -c "$1"; }

printf '%-22s %10s %7s %12s %12s\n' layout events/s hot% wal_B/event disk_B/event
for layout in ${LAYOUTS:-wide narrow_state_index narrow_seq_index narrow_open_table narrow_sealed_ff100 narrow_sealed_index narrow_sealed_ff40}; do
  psql -qX -d postgres -c "set client_min_messages = warning" -c "drop database if exists $database"
  createdb "$database"
  psql -qX -d "$database" -v ON_ERROR_STOP=1 -f "$here/payload.sql" -f "$here/$layout.tables.sql"
  query checkpoint
  start=$(query 'select pg_current_wal_lsn()')
  pgbench -n -M prepared -c "$clients" -j 1 -T "$seconds" -D b=0 -f "$here/$layout.batch.sql" "$database" >/dev/null 2>/tmp/pgb.err
  events=$(query 'select count(*) from event')
  # The statistics arrive when the sessions end.
  hot=$(query "select round(100.0 * sum(n_tup_hot_upd) / nullif(sum(n_tup_upd), 0), 1) from pg_stat_user_tables where relname = 'event'")
  wal=$(query "select round(pg_wal_lsn_diff(pg_current_wal_lsn(), '$start') / $events)")
  disk=$(query "select round(sum(pg_total_relation_size(oid)) / $events) from pg_class where relkind = 'r' and relnamespace = 'public'::regnamespace and relname not in ('payload', 'lane')")
  printf '%-22s %10s %7s %12s %12s\n' "$layout" $((events / seconds)) "$hot" "$wal" "$disk"
done
dropdb "$database"
