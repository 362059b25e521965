#!/usr/bin/env bash
# How long the commands of an operator take on a large ledger, as docs/benchmarks.md tells: each is the real program, its start
# included. The sealed bytes are filled in and open under no key: replays are measured by tests/real_parts/letters_at_size.rs.
# Usage: benches/dead_letters/run.sh PROGRAM [dead letters] [linked events beside them]
# Needs psql on the path; connects as it does (PGHOST, PGPORT, PGUSER); makes and drops a database. Keep fsync on.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
program=$(realpath "$1")
letters=${2:-100000}
others=${3:-1000000}
database=dead_letters_bench
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

psql -qX -d postgres -c 'SET client_min_messages = warning' -c "DROP DATABASE IF EXISTS $database"
psql -qX -d postgres -c "CREATE DATABASE $database"
"$program" keys generate --out k1.key > keys.log
printf 'ledger.url = "postgres://%s@%s:%s/%s"\n[keys]\nk1 = { file = "k1.key" }\n' \
  "${PGUSER:-postgres}" "${PGHOST:-127.0.0.1}" "${PGPORT:-5432}" "$database" > worker.toml
export PROFILE_LINKER_CONFIG=worker.toml
"$program" migrate > migrate.log
psql -qX -d "$database" -v ON_ERROR_STOP=1 -v letters="$letters" -v others="$others" -f "$here/fill.sql" -c 'VACUUM ANALYZE' -c CHECKPOINT

# Seconds of a command, the best of three and the worst, and the lines that it said.
timed() {
  local seconds=() began
  for _ in 1 2 3; do
    began=$(date +%s%N)
    "$program" "$@" --output json > out.json
    seconds+=($((($(date +%s%N) - began) / 1000000)))
  done
  mapfile -t seconds < <(printf '%s\n' "${seconds[@]}" | sort -n)
  # shellcheck disable=SC2016  # the marks of Markdown, not a command
  printf '| `%s` | %s | %s | %s |\n' "$*" "${seconds[0]}" "${seconds[2]}" "$(wc -l < out.json)"
}

printf '| command | best ms | worst ms | lines |\n|---|---|---|---|\n'
timed dlq stats
timed dlq stats --reason link_unknown --since 1d
timed dlq list --limit 1000
timed dlq list --customer loanpro/4711
timed dlq list --event-id order-4711
timed dlq list
timed dlq show order-4711
psql -qX -d postgres -c "DROP DATABASE $database"
