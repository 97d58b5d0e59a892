#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# tests/gpu/sample.sh build | run [ROW-BYTES] | TOOL [ROW-BYTES]: builds tests/gpu/sample.c with the archive in
# $TEST_BUILD, runs it, or runs it under that tool of compute-sanitizer, with rows of all sizes or of one. Exit status
# 77 if compute-sanitizer is missing or does not support this device.
set -uo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
sample=$TEST_BUILD/gpu/sample

case ${1:-} in
build)
    mkdir -p "$TEST_BUILD/gpu"
    # A build that was made elsewhere may have come without the archive.
    [ ! -x "$sample" ] || [ "$TEST_BUILD/libfuseln_archive.a" -nt "$sample" ] || exit 0
    exec cc -std=c11 -D_GNU_SOURCE -O2 -I"$root" -I"$root/src" -o "$sample" "$root/tests/gpu/sample.c" \
        "$TEST_BUILD/libfuseln_archive.a" -ldl -lpthread
    ;;
run) exec "$sample" "${2:-all}" ;;
esac

command -v compute-sanitizer >/dev/null || {
    echo "no compute-sanitizer on this machine"
    exit 77
}
log=$(mktemp)
trap 'rm -f "$log"' EXIT
status=0
compute-sanitizer --tool "$1" --error-exitcode 1 --print-limit 20 "$sample" "${@:2}" 2>&1 | tee "$log" || status=1
! grep -q 'Device not supported' "$log" || status=77
exit $status
