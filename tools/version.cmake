# SPDX-License-Identifier: Apache-2.0
# Writes OUT (version.h) from VERSION and git's description of SOURCE. Leaves an unchanged file untouched, so a build
# without a new commit recompiles nothing. In an archive that git made, `archived` is the commit (.gitattributes);
# elsewhere outside of git it is "unknown".
cmake_minimum_required(VERSION 3.20)
execute_process(COMMAND git -C ${SOURCE} describe --always --dirty --tags OUTPUT_VARIABLE commit ERROR_QUIET
                OUTPUT_STRIP_TRAILING_WHITESPACE)
set(archived "$Format:%h$")
if(NOT commit AND NOT archived MATCHES Format)
    set(commit ${archived})
elseif(NOT commit)
    set(commit unknown)
endif()
file(CONFIGURE OUTPUT ${OUT} @ONLY CONTENT
     "#define FUSELN_VERSION \"@VERSION@\"\n#define FUSELN_COMMIT \"@commit@\"\n")
