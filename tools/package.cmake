# SPDX-License-Identifier: Apache-2.0
# The Debian packages fuseln and fuseln-doc, made by `cpack -G DEB` in a build with CMAKE_INSTALL_PREFIX=/usr
# (tools/package.sh).
execute_process(COMMAND git -C ${CMAKE_SOURCE_DIR} log -1 "--format=%an <%ae>" OUTPUT_VARIABLE maintainer ERROR_QUIET
                OUTPUT_STRIP_TRAILING_WHITESPACE)
if(NOT maintainer)
    set(maintainer "unknown <unknown@localhost>")
endif()
set(FUSELN_MAINTAINER "${maintainer}" CACHE STRING "Who makes the Debian packages: name <address>.")

file(CONFIGURE OUTPUT ${generated}/copyright @ONLY CONTENT
"Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: fuseln

Files: *
Copyright: 2026 the fuseln authors
License: Apache-2.0
 On Debian systems, the text of the Apache License 2.0 is in
 /usr/share/common-licenses/Apache-2.0.
")
string(TIMESTAMP now "%a, %d %b %Y %H:%M:%S +0000" UTC) # SOURCE_DATE_EPOCH, if it is set
file(CONFIGURE OUTPUT ${generated}/changelog @ONLY CONTENT
"fuseln (@PROJECT_VERSION@) unstable; urgency=medium

  * What changed is told in CHANGELOG.md, in the package fuseln-doc.

 -- @FUSELN_MAINTAINER@  @now@
")
file(WRITE ${generated}/triggers "activate-noawait ldconfig\n")

foreach(package fuseln fuseln-doc)
    install(FILES ${generated}/copyright ${generated}/changelog DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/${package}
            COMPONENT ${package} EXCLUDE_FROM_ALL)
endforeach()
file(GLOB_RECURSE pages RELATIVE ${CMAKE_SOURCE_DIR} hooks/README.md src/README.md kernels/README.md tests/README.md
     tools/README.md)
foreach(page README.md CHANGELOG.md CONTRIBUTING.md tools/gains.svg ${pages})
    get_filename_component(folder ${page} DIRECTORY)
    install(FILES ${page} DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/fuseln-doc/${folder} COMPONENT fuseln-doc
            EXCLUDE_FROM_ALL)
endforeach()

set(CPACK_PACKAGE_NAME fuseln)
set(CPACK_PACKAGE_CONTACT "${FUSELN_MAINTAINER}")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "fused layer-norm kernels for unmodified CUDA programs")
set(CPACK_COMPONENT_FUSELN_DESCRIPTION
"A preload library recognises the layer-norm and RMS-norm kernels that a CUDA
program launches (PyTorch's wheels first), launches its own fused kernels on
the same stream in their place, forward and backward, and reports every
substitution. Whatever it cannot prove to be right, it leaves to the original
kernel. The command fuseln runs a program with it, reads its reports, and says
whether it takes effect.")
set(CPACK_STRIP_FILES ON)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_COMPONENTS_GROUPING IGNORE)
set(CPACK_COMPONENTS_ALL fuseln fuseln-doc)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION science)
set(CPACK_DEBIAN_PACKAGE_PRIORITY optional)
set(CPACK_DEBIAN_COMPRESSION_TYPE xz)
set(CPACK_DEBIAN_FUSELN_PACKAGE_NAME fuseln)
set(CPACK_DEBIAN_FUSELN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_FUSELN_PACKAGE_CONTROL_EXTRA ${generated}/triggers)
set(CPACK_DEBIAN_FUSELN-DOC_PACKAGE_NAME fuseln-doc)
set(CPACK_DEBIAN_FUSELN-DOC_PACKAGE_ARCHITECTURE all)
set(CPACK_DEBIAN_FUSELN-DOC_PACKAGE_SECTION doc)
set(CPACK_COMPONENT_FUSELN-DOC_DESCRIPTION
"The documentation of fuseln: a README of each of its folders, how to work on
it, and what changed.")
set(CPACK_PRE_BUILD_SCRIPTS ${CMAKE_SOURCE_DIR}/tools/package_debian.cmake)
include(CPack)
