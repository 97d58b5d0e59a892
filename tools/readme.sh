#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Writes the generated tables into README.md between `<!-- BEGIN name -->` and `<!-- END name -->`; with --check
# changes nothing and fails when README.md does not hold them. Needs a build (build/tools/tables).
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
tables=${TEST_BUILD:-$root/build}/tools/tables
case ${1-} in ''|--check) ;; *) echo "usage: tools/readme.sh [--check]" >&2; exit 2 ;; esac
[ -x "$tables" ] || { echo "tools/readme.sh: $tables is missing: run tools/build.sh first" >&2; exit 2; }

table() { # of what was seen in a run, or of what the library runs on
    case $1 in
    faults) cat "$root/tests/faults/results.md" ;; # tools/faults.sh --record
    *) "$tables" "$1" ;;
    esac
}

new=$(mktemp)
trap 'rm -f "$new"' EXIT
skip=
while IFS= read -r line; do
    case $line in
    '<!-- BEGIN '*) name=${line#<!-- BEGIN }; name=${name% -->}
        printf '%s\n' "$line"; table "$name"; skip=1; continue ;;
    '<!-- END '*) skip= ;;
    esac
    [ -n "$skip" ] || printf '%s\n' "$line"
done <"$root/README.md" >"$new"

if [ "${1-}" = --check ]; then
    diff -u "$root/README.md" "$new" || { echo "README.md is out of date: run tools/readme.sh" >&2; exit 1; }
else
    cat "$new" >"$root/README.md"
fi
