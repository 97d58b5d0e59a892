#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# tools/build.sh [--arch aarch64] [CMAKE-OPTION...]: installs what a build needs, then builds libfuseln.so, the tests and
# the software device into build/. Pinned NVRTC releases compile the device images, so the library loads on drivers from
# 525 on; needs neither a CUDA Toolkit nor a GPU. -DFUSELN_TESTS=OFF leaves out the tests and the PyTorch wheel they need.
# With --arch it builds into build/aarch64, from the device images of build/, and tests that run by qemu.
set -euo pipefail
. "$(dirname "$0")/setup.sh"

if [ "${1:-}" = --arch ]; then
    [ "${2:-}" = aarch64 ] || fuseln_die "usage: tools/build.sh [--arch aarch64] [CMAKE-OPTION...]"
    [ -e "$fuseln_root/build/generated/images.S" ] || fuseln_die "no device images in build/: run tools/build.sh first"
    fuseln_need_arm64
    fuseln_cmake "$fuseln_root/build/aarch64" -DCMAKE_TOOLCHAIN_FILE="$fuseln_root/tools/aarch64.cmake" \
        -DFUSELN_ARM64="$fuseln_arm64" -DFUSELN_IMAGES="$fuseln_root/build" -DFUSELN_TESTS=ON "${@:3}"
    exit
fi
fuseln_need_packages gcc cmake ninja-build python3-venv git libjansson-dev libarchive-dev
fuseln_need_nvrtc
case " $* " in
*" -DFUSELN_TESTS=OFF "*) ;;
*)
    fuseln_need_packages g++ libcmocka-dev libboost-context-dev openmpi-bin
    fuseln_need_torch
    fuseln_need_runtimes
    set -- -DFUSELN_TESTS=ON "$@"
    ;;
esac
fuseln_cmake "$fuseln_root/build" "$@"
