#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# tools/check.sh: everything a change must pass besides the tests: formatting, gcc and clang builds without warnings,
# clang-tidy, and the unit tests under the address and undefined-behaviour sanitizers. Builds into build-check/.
set -euo pipefail
. "$(dirname "$0")/setup.sh"
cd "$fuseln_root"

fuseln_need_packages clang clang-tidy clang-format make
fuseln_step "building build/" tools/build.sh

# check_build NAME CMAKE-OPTION...: reuses the device images of build/, which take minutes to compile. (make decides by
# time stamps and accepts the copies; ninja would rebuild them.)
check_build() {
    mkdir -p "build-check/$1"
    cp -a --update build/images "build-check/$1/"
    fuseln_generator="Unix Makefiles" fuseln_cmake "build-check/$1" -DFUSELN_WERROR=ON "${@:2}"
}

echo "== format"
find src hooks kernels tests tools -name '*.[ch]' -o -name '*.cc' -o -name '*.cu' -o -name '*.cuh' |
    xargs clang-format --dry-run -Werror
echo "== gcc, warnings are errors"
check_build gcc -DFUSELN_TESTS=ON
echo "== clang, warnings are errors"
CC=clang check_build clang -DFUSELN_TESTS=OFF # without the tests: Debian 12's clang lacks _Float16
echo "== clang-tidy"
clang-tidy --quiet -p build-check/clang src/*/*.c hooks/*.c hooks/targets/*.c kernels/host/*.c tools/fuseln/*.c 2> >(
    grep -v 'warnings\? generated' >&2)
echo "== unit tests under sanitizers"
check_build sanitized -DFUSELN_TESTS=ON -DFUSELN_SANITIZE=address,undefined
ctest --test-dir build-check/sanitized --output-on-failure -j"$(nproc)"
echo "all checks passed"
