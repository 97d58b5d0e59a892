# SPDX-License-Identifier: Apache-2.0
# Prints at configure time which drivers will load the images. NVIDIA's rule: machine code (sm_*) loads on every driver
# of the compiler's major release (12.x: 525 and later) that knows the device; PTX needs the driver of the compiler's
# own release or a later one. We have not tried a driver older than 580.
set(driver_of_release 12.0=525 12.1=530 12.2=535 12.3=545 12.4=550 12.5=555 12.6=560 12.8=570 12.9=575 13.0=580
    13.1=590 13.2=595)
function(fuseln_driver release ret_driver)
    string(REPLACE "." "\\." pattern ${release})
    set(${ret_driver} "of CUDA ${release}" PARENT_SCOPE)
    if("${driver_of_release}" MATCHES "(^|;)${pattern}=([0-9]+)")
        set(${ret_driver} ${CMAKE_MATCH_2} PARENT_SCOPE)
    endif()
endfunction()

string(REGEX MATCH "([0-9]+)\\.[0-9]+" release "${floor_name}")
fuseln_driver(${CMAKE_MATCH_1}.0 driver_floor)
fuseln_driver(${release} driver_ptx)
string(REGEX MATCH "([0-9]+)\\.[0-9]+" new_release "${new_name}")
set(new_driver 570) # the first driver that knows sm_100 and sm_120
if(CMAKE_MATCH_1 GREATER 12)
    fuseln_driver(${CMAKE_MATCH_1}.0 new_driver)
endif()
list(JOIN floor_archs " sm_" floor_text)
list(JOIN new_archs " sm_" new_text)
message(STATUS "fuseln: sm_${floor_text} by ${floor_name}: drivers ${driver_floor} and newer")
message(STATUS "fuseln: compute_${ptx_arch} (PTX) by ${floor_name}: drivers ${driver_ptx} and newer")
if(new_archs)
    message(STATUS "fuseln: sm_${new_text} by ${new_name}: drivers ${new_driver} and newer")
endif()
