# SPDX-License-Identifier: Apache-2.0
# CMake's toolchain file for aarch64, with Debian's cross compiler. -DFUSELN_ARM64=FOLDER names Debian's arm64 packages,
# unpacked, for what needs more than libc: the command and the tests, which then run by qemu.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)
set(CMAKE_CXX_COMPILER aarch64-linux-gnu-g++)
set(CMAKE_LIBRARY_ARCHITECTURE aarch64-linux-gnu)
set(CMAKE_CROSSCOMPILING_EMULATOR ${CMAKE_CURRENT_LIST_DIR}/aarch64_run)
set(CMAKE_FIND_ROOT_PATH ${FUSELN_ARM64} /usr/aarch64-linux-gnu)
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_TRY_COMPILE_PLATFORM_VARIABLES FUSELN_ARM64)
set(CMAKE_EXE_LINKER_FLAGS_INIT -Wl,-rpath-link,${FUSELN_ARM64}/usr/lib/aarch64-linux-gnu)
