#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# tools/faults.sh [SECONDS] [--record]: everything that is done to fuseln to make it lose something: each driver call
# fails (tests/faults), the command reads broken files (tests/fuzz), threads, forks and libraries come and go
# (tests/threads); each of the last two for SECONDS (300 by default). Prints what was done, how often, and what was lost,
# as the table in README.md; --record writes it to tests/faults/results.md, from where tools/readme.sh takes it.
# Needs a build (tools/build.sh). Some 25 minutes; 1 if anything was lost.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
export TEST_BUILD=${TEST_BUILD:-$root/build}
seconds=300 record=
for word in "$@"; do
    case $word in
    --record) record=1 ;;
    [1-9]*) seconds=$word ;;
    *) echo "usage: tools/faults.sh [SECONDS] [--record]" >&2; exit 2 ;;
    esac
done

status=0 rows=
also() { # also COMMAND...: prints what it says, keeps its lines of the table
    local said
    said=$(python3 "$@") || status=1
    printf '%s\n' "$said" >&2
    rows+=$(grep '^| ' <<<"$said" || true)$'\n'
}
cd "$root/tests"
also faults/sweep.py --all
also threads/soak.py "$seconds"
also threads/races.py $((seconds / 10))
also fuzz/fuzz.py scan "$seconds"
also fuzz/fuzz.py report "$seconds"

table=$(
    echo "| what was done to it | how often | what was lost |"
    echo "|---|---|---|"
    printf '%s' "$rows" | sed '/^$/d'
    echo
    echo "(\`tools/faults.sh $seconds\`, $(date +%F), $(nproc) cores)"
)
printf '%s\n' "$table"
[ -z "$record" ] || printf '%s\n' "$table" >"$root/tests/faults/results.md"
exit $status
