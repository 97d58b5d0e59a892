#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# tools/accuracy.sh: prints a table of our kernels' errors against float64, next to those of the kernels they replace,
# for every element type (tests/accuracy). Exits 1 if an error exceeds its margin. Builds what is missing; needs no GPU;
# about 2 minutes on 2 cores.
set -euo pipefail
. "$(dirname "$0")/setup.sh"
[ $# -eq 0 ] || fuseln_die "usage: tools/accuracy.sh"
[ -e "$fuseln_root/build/tests/accuracy" ] || "$fuseln_root/tools/build.sh" >&2
cmake --build "$fuseln_root/build" --target accuracy >&2

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
measure() {
    local status=0
    "$fuseln_root/build/tests/accuracy/accuracy" --activations "$fuseln_root/build/tests/accuracy/activations.bin" \
        --dtype "$1" >"$work/$1" || status=$?
    [ $status -le 1 ] || fuseln_die "the measurement of $1 ended with $status"
}
(measure f32 && measure f64) & first=$!
(measure f16 && measure bf16) & second=$!
wait $first
wait $second

# Print the header once and add up the margins.
for dtype in f32 f16 bf16 f64; do
    if [ $dtype = f32 ]; then cat "$work/$dtype"; else sed '1,/^activations have no/d' "$work/$dtype"; fi
done | awk '/^[0-9]+ margins, [0-9]+ broken$/ { margins += $1; broken += $3; next }
    { print }
    END { print margins " margins, " broken " broken"; exit broken > 0 || margins == 0 }'
