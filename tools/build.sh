#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# tools/build.sh [CMAKE-OPTION...]: installs what a build needs, then builds libfuseln.so, the tests and the software
# device into build/. Pinned NVRTC releases compile the device images, so the library loads on drivers from 525 on;
# needs neither a CUDA Toolkit nor a GPU. -DFUSELN_TESTS=OFF leaves out the tests and the PyTorch wheel they need.
set -euo pipefail
. "$(dirname "$0")/setup.sh"

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
