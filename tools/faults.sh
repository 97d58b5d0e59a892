#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# tools/faults.sh [SECONDS] [--record]: tries to make fuseln lose something. Every driver call fails in turn
# (tests/faults); threads, forks and libraries come and go (tests/threads); the command reads broken files (tests/fuzz).
# The last two run for SECONDS each (300). Prints a table of what was done, how often, and what was lost; --record also
# writes it to tests/faults/results.md. Run tools/build.sh first. About 30 minutes; exits 1 if anything was lost.
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
also() { # also SCRIPT...: prints its output and collects its table rows
    local output
    output=$(python3 "$@") || status=1
    printf '%s\n' "$output" >&2
    rows+=$(grep '^| ' <<<"$output" || true)$'\n'
}
cd "$root/tests"
also faults/sweep.py --all
also threads/soak.py "$seconds"
also threads/races.py $((seconds / 10))
also fuzz/fuzz.py scan "$seconds"
also fuzz/fuzz.py report "$seconds"
also fuzz/fuzz.py rows "$seconds"

table=$(
    cat <<'END'
# What faults did to fuseln

"Lost" means: a launch that came out twice or not at all or told the program something else than the original does, an
error that disabled more than its own launch, a report that does not add up to what the program saw, a race, a crash, or
memory or a descriptor that stays.

END
    echo "| what was done to it | how often | what was lost |"
    echo "|---|---|---|"
    printf '%s' "$rows" | sed '/^$/d'
    echo
    echo "(\`tools/faults.sh $seconds\`, $(date +%F), $(nproc) cores)"
)
printf '%s\n' "$table"
[ -z "$record" ] || printf '%s\n' "$table" >"$root/tests/faults/results.md"
exit $status
