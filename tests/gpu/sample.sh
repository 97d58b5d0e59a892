#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# tests/gpu/sample.sh build | run | memcheck | racecheck | initcheck | synccheck: builds tests/gpu/sample.c with the
# library's archive in $TEST_BUILD, or runs it, alone or under that tool of compute-sanitizer. Exit status 77 if
# the tool is missing or does not support this device.
set -uo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
sample=$TEST_BUILD/gpu/sample

case ${1:-} in
build)
    mkdir -p "$TEST_BUILD/gpu"
    cmake --build "$TEST_BUILD" --target fuseln_archive || exit 1
    exec cc -std=c11 -D_GNU_SOURCE -O2 -I"$root" -I"$root/src" -o "$sample" "$root/tests/gpu/sample.c" \
        "$TEST_BUILD/libfuseln_archive.a" -ldl -lpthread
    ;;
run) exec "$sample" all ;;
*) tool=$1 ;;
esac

command -v compute-sanitizer >/dev/null || {
    echo "no compute-sanitizer on this machine"
    exit 77
}
log=$(mktemp)
trap 'rm -f "$log"' EXIT
status=0
compute-sanitizer --tool "$tool" --error-exitcode 1 --print-limit 20 "$sample" 2>&1 | tee "$log" || status=1
grep -q 'Device not supported' "$log" && status=77
exit $status
