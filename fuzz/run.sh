#!/usr/bin/env bash
# Runs every fuzzer, or those named, for so many seconds each: fuzz/run.sh SECONDS [TARGET...]
#
# What is found new is kept beside the build and used again; a finding is written to fuzz/artifacts and ends the run with 1.
# Without a nightly toolchain it cannot be done here: 75.
set -euo pipefail
cd "$(dirname "$0")"

seconds=${1:?how many seconds for each fuzzer}
shift
targets=("$@")
[ ${#targets[@]} -gt 0 ] || targets=(events records payiq loanpro aloha cursor sealed configuration)

if ! cargo +nightly --version >/dev/null 2>&1; then
    echo "there is no nightly toolchain here, and the fuzzers need one: rustup toolchain install nightly"
    exit 75
fi
command -v cargo-fuzz >/dev/null || cargo install --quiet --locked cargo-fuzz@0.13.2
target_folder=${CARGO_TARGET_DIR:-../target}/fuzz
mkdir -p "$target_folder"
target_folder=$(cd "$target_folder" && pwd)

status=0
for target in "${targets[@]}"; do
    corpus=$target_folder/corpus/$target
    mkdir -p "$corpus"
    log=$target_folder/$target.log
    # Nothing here is unsafe code of ours, which a sanitizer would watch; without one it is several times as fast.
    if ! CARGO_TARGET_DIR=$target_folder cargo +nightly fuzz run --sanitizer none "$target" "$corpus" "seeds/$target" -- \
        -max_total_time="$seconds" -max_len=8192 -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 >"$log" 2>&1; then
        status=1
        tail -40 "$log"
        echo "FOUND by $target: see above, and fuzz/artifacts/$target"
    fi
    executed=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
    echo "$target: ${executed:-no} executions"
done
exit $status
