# Looks for what the CUDA plug-in needs: a line of the configure summary for each. Afterwards
# LOCKSTEP_CUDA_NOT_BUILT is empty, or says why there will be no plug-in; LOCKSTEP_NCCL_NOT_BUILT the
# same of the NCCL plug-in (runtime/communication/nccl).
set(LOCKSTEP_CUDA OFF CACHE STRING "The CUDA plug-in: AUTO (where its needs are found), ON, OFF")
set_property(CACHE LOCKSTEP_CUDA PROPERTY STRINGS AUTO ON OFF)
set(LOCKSTEP_CUDA_ARCHITECTURES "80-real;90-real;100-real;120" CACHE STRING
    "GPU architectures, as CMAKE_CUDA_ARCHITECTURES: machine code of each, and PTX of the last")
set(LOCKSTEP_CUDA_NOT_BUILT "")

# The version that a header defines in `parts`, as a.b.c, or "".
function(lockstep_header_version out header)
  set(version "")
  if(EXISTS "${header}")
    file(STRINGS ${header} lines REGEX "^#define +[A-Z_]+ +[0-9]+")
    foreach(part ${ARGN})
      if("${lines}" MATCHES "#define +${part} +([0-9]+)")
        list(APPEND version ${CMAKE_MATCH_1})
      endif()
    endforeach()
    list(JOIN version "." version)
  endif()
  set(${out} "${version}" PARENT_SCOPE)
endfunction()

# One line: found, too old, or missing. The latter two are reasons to build no plug-in.
macro(lockstep_cuda_need name version at_least place hint)
  if("${version}" STREQUAL "")
    message(STATUS "CUDA plug-in: ${name} missing; it wants ${at_least} or later (${hint})")
    list(APPEND LOCKSTEP_CUDA_NOT_BUILT "no ${name}")
  elseif("${version}" VERSION_LESS "${at_least}")
    message(STATUS "CUDA plug-in: ${name} ${version} is too old; it wants ${at_least} or later (${place})")
    list(APPEND LOCKSTEP_CUDA_NOT_BUILT "${name} ${version} is older than ${at_least}")
  else()
    message(STATUS "CUDA plug-in: ${name} ${version} (${place})")
  endif()
endmacro()

if(LOCKSTEP_CUDA STREQUAL "OFF")
  set(LOCKSTEP_CUDA_NOT_BUILT "it was configured with -DLOCKSTEP_CUDA=OFF")
  message(STATUS "CUDA plug-in: off (LOCKSTEP_CUDA)")
elseif(CMAKE_CROSSCOMPILING AND NOT LOCKSTEP_CUDA STREQUAL "ON")
  set(LOCKSTEP_CUDA_NOT_BUILT "it was cross-compiled")
  message(STATUS "CUDA plug-in: left out where one cross-compiles")
else()
  find_program(LOCKSTEP_NVCC nvcc HINTS $ENV{CUDACXX} $ENV{CUDA_HOME} $ENV{CUDA_PATH} /usr/local/cuda
               PATH_SUFFIXES bin)
  set(version "")
  if(LOCKSTEP_NVCC)
    execute_process(COMMAND ${LOCKSTEP_NVCC} --version OUTPUT_VARIABLE output ERROR_QUIET)
    if("${output}" MATCHES "V([0-9]+\\.[0-9]+\\.[0-9]+)")
      set(version ${CMAKE_MATCH_1})
    endif()
  endif()
  lockstep_cuda_need(nvcc "${version}" 12.8 "${LOCKSTEP_NVCC}" "is CUDA_HOME set?")

  # Both come with the toolkit, as packages of the system, or as archives that CUDNN_ROOT and
  # NCCL_ROOT name.
  cmake_path(GET LOCKSTEP_NVCC PARENT_PATH toolkit)
  set(hints ${toolkit}/.. ${toolkit}/../targets/${CMAKE_SYSTEM_PROCESSOR}-linux)
  find_path(CUDNN_INCLUDE_DIR cudnn_version.h HINTS ${CUDNN_ROOT} $ENV{CUDNN_ROOT} ${hints}
            PATH_SUFFIXES include)
  find_library(CUDNN_LIBRARY cudnn HINTS ${CUDNN_ROOT} $ENV{CUDNN_ROOT} ${hints} PATH_SUFFIXES lib64 lib)
  set(version "")
  if(CUDNN_LIBRARY)
    lockstep_header_version(version "${CUDNN_INCLUDE_DIR}/cudnn_version.h" CUDNN_MAJOR CUDNN_MINOR
                            CUDNN_PATCHLEVEL)
  endif()
  lockstep_cuda_need(cuDNN "${version}" 9.8 "${CUDNN_LIBRARY}" "is CUDNN_ROOT set?")

  find_path(NCCL_INCLUDE_DIR nccl.h HINTS ${NCCL_ROOT} $ENV{NCCL_ROOT} ${hints} PATH_SUFFIXES include)
  find_library(NCCL_LIBRARY nccl HINTS ${NCCL_ROOT} $ENV{NCCL_ROOT} ${hints} PATH_SUFFIXES lib64 lib)
  set(version "")
  if(NCCL_LIBRARY)
    lockstep_header_version(version "${NCCL_INCLUDE_DIR}/nccl.h" NCCL_MAJOR NCCL_MINOR NCCL_PATCH)
  endif()
  set(plugin_not_built ${LOCKSTEP_CUDA_NOT_BUILT})  # without NCCL there is one all the same
  lockstep_cuda_need(NCCL "${version}" 2.28 "${NCCL_LIBRARY}" "is NCCL_ROOT set?")

  if(LOCKSTEP_CUDA STREQUAL "ON" AND LOCKSTEP_CUDA_NOT_BUILT)
    list(JOIN LOCKSTEP_CUDA_NOT_BUILT ", " text)
    message(FATAL_ERROR "-DLOCKSTEP_CUDA=ON: ${text}; give what is missing, or configure with "
                        "-DLOCKSTEP_CUDA=AUTO")
  endif()
  list(JOIN LOCKSTEP_CUDA_NOT_BUILT ", " LOCKSTEP_NCCL_NOT_BUILT)
  list(JOIN plugin_not_built ", " LOCKSTEP_CUDA_NOT_BUILT)
  if(LOCKSTEP_CUDA_NOT_BUILT STREQUAL "")
    message(STATUS "CUDA plug-in: will be built for ${LOCKSTEP_CUDA_ARCHITECTURES}")
  else()
    message(STATUS "CUDA plug-in: will not be built")
  endif()
endif()
if(LOCKSTEP_CUDA_NOT_BUILT)
  set(LOCKSTEP_NCCL_NOT_BUILT "${LOCKSTEP_CUDA_NOT_BUILT}")
endif()
