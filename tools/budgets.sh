#!/usr/bin/env bash
# tools/budgets.sh: measures, on the built library, what the project promises to cost at most, without a GPU; one line
# for each: name, measured, budget, ratio. Exit 1 if one is missed. Run tools/build.sh before.
set -euo pipefail
. "$(dirname "$0")/setup.sh"
[ -e "$fuseln_root/build/libfuseln.so" ] || fuseln_die "build/libfuseln.so is missing: run tools/build.sh"
fuseln_need_packages valgrind binutils
TEST_BUILD=$fuseln_root/build TEST_VENV=$fuseln_cache/torch-$fuseln_torch exec \
    python3 "$fuseln_root/tests/budgets/budgets.py" "$@"
