# SPDX-License-Identifier: Apache-2.0
# Compiles each kernels/*.cu into its device images, and writes images.S, which embeds them, and images.inc, which lists
# them. Sets `images`, the files.
# nvcc and tools/nvrtc.py take the same command line: COMPILER -cubin|-ptx -arch=ARCH -o OUT IN.
set(FUSELN_ARCHS 70 75 80 90 100 120 CACHE STRING "Compute capabilities (90 for 9.0) that get a device image.")
set(floor_archs ${FUSELN_ARCHS})
set(new_archs ${FUSELN_ARCHS})
list(FILTER floor_archs EXCLUDE REGEX "^1..$")
list(FILTER new_archs INCLUDE REGEX "^1..$")
set(ptx_arch 90)
find_program(FUSELN_NVCC nvcc HINTS ENV CUDA_HOME PATHS /usr/local/cuda PATH_SUFFIXES bin
             DOC "The nvcc that compiles the device images when FUSELN_CUDA is nvcc.")
if(FUSELN_CUDA STREQUAL nvrtc AND FUSELN_NVRTC_FLOOR AND FUSELN_NVRTC_NEW)
    find_package(Python3 REQUIRED COMPONENTS Interpreter)
    foreach(which floor new)
        string(TOUPPER FUSELN_NVRTC_${which} folder)
        set(${which}_compiler ${Python3_EXECUTABLE} ${CMAKE_SOURCE_DIR}/tools/nvrtc.py --dir ${${folder}})
        execute_process(COMMAND ${${which}_compiler} --version OUTPUT_VARIABLE ${which}_name
                        OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
    endforeach()
    set(compiler_file ${CMAKE_SOURCE_DIR}/tools/nvrtc.py)
elseif(FUSELN_CUDA STREQUAL nvcc AND FUSELN_NVCC)
    execute_process(COMMAND ${FUSELN_NVCC} --version OUTPUT_VARIABLE text COMMAND_ERROR_IS_FATAL ANY)
    string(REGEX REPLACE ".*V([0-9]+\\.[0-9]+\\.[0-9]+).*" "nvcc \\1" nvcc_name "${text}")
    if(nvcc_name MATCHES "nvcc (1[01]|[1-9])\\.")
        message(FATAL_ERROR "fuseln: ${nvcc_name} (${FUSELN_NVCC}) is older than 12.0; run tools/build.sh, which "
            "fetches NVRTC, or name a newer one by -DFUSELN_NVCC=FILE.")
    endif()
    execute_process(COMMAND ${FUSELN_NVCC} --list-gpu-code OUTPUT_VARIABLE known COMMAND_ERROR_IS_FATAL ANY)
    foreach(which floor new)
        set(${which}_compiler ${FUSELN_NVCC} -fmad=false) # only fmaf() fuses: the same bits everywhere
        set(${which}_name ${nvcc_name})
        foreach(arch IN LISTS ${which}_archs)
            if(NOT known MATCHES "sm_${arch}[^0-9]")
                list(REMOVE_ITEM ${which}_archs ${arch})
                message(STATUS "fuseln: ${${which}_name} cannot compile for sm_${arch}: left out")
            endif()
        endforeach()
    endforeach()
    set(compiler_file ${FUSELN_NVCC})
else()
    message(FATAL_ERROR "fuseln: no CUDA compiler. Either install a CUDA Toolkit (12.0 or newer; its nvcc is found by "
        "PATH, CUDA_HOME or -DFUSELN_NVCC=FILE), or run tools/build.sh, which fetches NVRTC and needs no toolkit.")
endif()

# NVIDIA's rule: machine code loads on every driver of its compiler's major release (12.x: 525 and later) that knows the
# device; PTX needs a driver of its compiler's own release or a later one. We have not tried a driver older than 580.
foreach(which new floor) # floor last: the PTX is its
    string(REGEX MATCH "([0-9]+)\\.[0-9]+" release "${${which}_name}")
    list(JOIN ${which}_archs " sm_" archs)
    if(archs)
        message(STATUS "fuseln: sm_${archs} by ${${which}_name}: drivers of CUDA ${CMAKE_MATCH_1}.0 and newer "
                       "that know the device")
    endif()
endforeach()
message(STATUS "fuseln: compute_${ptx_arch} (PTX) by ${floor_name}: drivers of CUDA ${release} and newer")

file(GLOB modules CONFIGURE_DEPENDS kernels/*.cu)
file(GLOB module_headers CONFIGURE_DEPENDS kernels/*.cuh kernels/*.h)
set(images_dir ${CMAKE_BINARY_DIR}/images)
file(MAKE_DIRECTORY ${images_dir})
set(images)
set(images_asm "#include \"base/object_notes.h\"\n.section .rodata\n")
set(images_inc "")

# One image: SOURCE compiled to KIND (sm or compute) for ARCH by the compiler WHICH (floor or new).
function(fuseln_image source kind arch which)
    get_filename_component(module ${source} NAME_WE)
    set(format cubin)
    set(end "")
    if(kind STREQUAL compute)
        set(format ptx)
        set(end ".byte 0\n") # cuModuleLoadData takes PTX as a C string
    endif()
    set(out ${images_dir}/${module}.${kind}_${arch}.${format})
    set(minify)
    if(kind STREQUAL compute) # blanks, comments, ends of lines, long names and unread constants are a sixth of PTX
        set(minify COMMAND sed -i -E -e "/^$/d" -e "/^[/]{2}/d" -e "s/, /,/g" -e "s/fuseln_[a-z0-9_]+_param_0/p/g"
                   -e "s/%(fd|f|p|rd|rs|r)([0-9<])/\\1\\2/g" -e "s/[$]L__BB/L/g"
                   -e "/^[.]global .*2nv6target/d" ${out}
                   COMMAND sed -i -E -z "s/([^0-9a-z()])\\n/\\1/g" ${out}) # after all but directives
    endif()
    add_custom_command(OUTPUT ${out}
        COMMAND ${${which}_compiler} -${format} -arch=${kind}_${arch} -I ${CMAKE_SOURCE_DIR} -o ${out} ${source}
        ${minify} DEPENDS ${source} ${module_headers} ${compiler_file} VERBATIM COMMENT "${module} ${kind}_${arch}")
    set(symbol fuseln_image_${module}_${kind}_${arch})
    set(images ${images} ${out} PARENT_SCOPE)
    string(APPEND images_asm ".balign 64\n.globl ${symbol}\n.hidden ${symbol}\n.type ${symbol}, %object\n${symbol}:\n"
        ".incbin \"${out}\"\n${end}.size ${symbol}, . - ${symbol}\n")
    set(images_asm "${images_asm}" PARENT_SCOPE)
    set(images_inc "${images_inc}FUSELN_IMAGE(${module}, ${kind}, ${arch}, \"${${which}_name}\")\n" PARENT_SCOPE)
endfunction()

foreach(source IN LISTS modules)
    foreach(arch IN LISTS floor_archs)
        fuseln_image(${source} sm ${arch} floor)
    endforeach()
    foreach(arch IN LISTS new_archs)
        fuseln_image(${source} sm ${arch} new)
    endforeach()
    fuseln_image(${source} compute ${ptx_arch} floor)
endforeach()
file(CONFIGURE OUTPUT ${generated}/images.S CONTENT "${images_asm}" @ONLY)
file(CONFIGURE OUTPUT ${generated}/images.inc CONTENT "${images_inc}" @ONLY)
