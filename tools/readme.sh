#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# tools/readme.sh [--check]: writes the generated tables into the READMEs, between `<!-- BEGIN name -->` and
# `<!-- END name -->`, and the chart tools/gains.svg. With --check it changes nothing and fails if a table or the chart is
# out of date. Either way it fails if a README names a file that does not exist. Needs a build (build/tools/pages).
set -euo pipefail
cd "$(dirname "$0")/.."
pages=${TEST_BUILD:-build}/tools/pages
results=tests/gpu/results/h100-2026-11-27
mode=${1:-write}
case $#$mode in 0write | 1--check) ;; *) echo "usage: tools/readme.sh [--check]" >&2; exit 2 ;; esac
[ -x "$pages" ] || { echo "tools/readme.sh: $pages is missing: run tools/build.sh first" >&2; exit 2; }

table() {
    case $1 in
    gains) python3 tools/gains.py "$results" ;;
    wheels) python3 tests/torch/wheels.py --table ;; # what tools/test.sh --all wheels counted
    *) "$pages" "$1" ;; # from the rows that the library itself runs on
    esac
}

filled() { # filled README: the file with new tables
    local line name skip=
    while IFS= read -r line; do
        case $line in
        '<!-- BEGIN '*)
            name=${line#<!-- BEGIN } name=${name% -->}
            printf '%s\n' "$line"
            table "$name"
            skip=1
            continue
            ;;
        '<!-- END '*) skip= ;;
        esac
        [ -n "$skip" ] || printf '%s\n' "$line"
    done <"$1"
}

status=0
new=$(mktemp)
trap 'rm -f "$new"' EXIT
refresh() { # refresh FILE COMMAND...: the file shall be what the command prints
    "${@:2}" >"$new"
    if [ "$mode" = write ]; then
        cat "$new" >"$1"
    else
        diff -u "$1" "$new" || { echo "$1 is out of date: run tools/readme.sh" >&2; status=1; }
    fi
}
refresh tools/gains.svg python3 tools/gains.py --svg "$results"
while read -r file; do
    refresh "$file" filled "$file"
    while read -r name; do # a link, or a source in backquotes, named from here or from the root
        [ -e "$(dirname "$file")/$name" ] || [ -e "$name" ] || { echo "$file: no file $name" >&2; status=1; }
    done < <(grep -oP '\]\(\K(?!https?:)[^)#]+|`\K[\w./-]+/[\w.-]+\.(c|h|cu|cuh|S|py|sh|md)(?=`)' "$file")
done < <(find . -name '*.md' -not -path './build*' -not -path './.*')
exit $status
