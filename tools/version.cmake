# SPDX-License-Identifier: Apache-2.0
# Writes OUT (version.h) from VERSION and git's description of SOURCE. Leaves an unchanged file untouched, so a build
# without a new commit recompiles nothing. The commit is "unknown" outside of git or before the first commit.
cmake_minimum_required(VERSION 3.20)
execute_process(COMMAND git -C ${SOURCE} describe --always --dirty --tags OUTPUT_VARIABLE commit ERROR_QUIET
                OUTPUT_STRIP_TRAILING_WHITESPACE)
if(NOT commit)
    set(commit unknown)
endif()
file(CONFIGURE OUTPUT ${OUT} @ONLY CONTENT
     "#define FUSELN_VERSION \"@VERSION@\"\n#define FUSELN_COMMIT \"@commit@\"\n")
