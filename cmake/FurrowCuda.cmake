# Whether this build has device `cuda`, and the CUDA language for it. Sets FURROW_HAVE_CUDA and furrow_cuda_summary.
#
# nvcc compiles kernels/cuda alone; the host compiler links. The CUDA runtime is linked statically and finds the driver
# when it is first called, so the same program starts on a machine without one.
set(FURROW_HAVE_CUDA OFF)
set(furrow_cuda_summary "not asked for")
if(FURROW_CUDA STREQUAL "AUTO" AND FURROW_SANITIZE)
  set(furrow_cuda_summary "left out of sanitizer builds")
elseif(FURROW_CUDA)
  find_program(FURROW_NVCC nvcc HINTS ENV CUDA_PATH PATHS /usr/local/cuda PATH_SUFFIXES bin)
  if(FURROW_NVCC)
    set(FURROW_HAVE_CUDA ON)
  elseif(FURROW_CUDA STREQUAL "AUTO")
    set(furrow_cuda_summary "no nvcc found; everything else is complete")
  else()
    message(FATAL_ERROR
      "FURROW_CUDA=ON, but there is no nvcc on PATH or in /usr/local/cuda/bin; -DFURROW_NVCC=FILE names one")
  endif()
endif()
if(NOT FURROW_HAVE_CUDA)
  return()
endif()

# Machine code for 80 (which 86 and 89 run too) and 90, and PTX of 90, which newer GPUs' drivers compile.
set(CMAKE_CUDA_ARCHITECTURES "80-real;90" CACHE STRING "GPU architectures, as CMake writes them: 80-real;90")
set(CMAKE_CUDA_COMPILER ${FURROW_NVCC})
set(CMAKE_CUDA_HOST_COMPILER ${CMAKE_CXX_COMPILER})
if(CCACHE_PROGRAM)
  set(CMAKE_CUDA_COMPILER_LAUNCHER ${CCACHE_PROGRAM})
endif()
enable_language(CUDA)
if(NOT CMAKE_CUDA20_STANDARD_COMPILE_OPTION)   # CMake 3.25.1 does not know that nvcc has had C++20 since 12.0
  set(CMAKE_CUDA20_STANDARD_COMPILE_OPTION -std=c++20)
  set(CMAKE_CUDA20_EXTENSION_COMPILE_OPTION -std=c++20)
endif()
set(CMAKE_CUDA_STANDARD 20)
set(CMAKE_CUDA_RUNTIME_LIBRARY None)   # kernels/CMakeLists.txt links the static one by name
find_package(CUDAToolkit REQUIRED)
set(furrow_cuda_summary "nvcc ${CMAKE_CUDA_COMPILER_VERSION}, architectures ${CMAKE_CUDA_ARCHITECTURES}")

# furrow_cuda_flags(TARGET): what every file compiled by nvcc gets. Products and sums may fuse (nvcc's default); nothing
# else of fast-math. Warnings of nvcc's front end and of the host compiler are errors where the host's are; -Wextra and
# -Wshadow are left to the host's own pass over the same text, because nvcc's generated stubs do not keep to them; the
# host meets `#pragma unroll` in functions of both sides, and clang the static functions of CUDA's headers.
function(furrow_cuda_flags target)
  target_include_directories(${target} PRIVATE ${PROJECT_SOURCE_DIR})
  target_compile_definitions(${target} PRIVATE $<TARGET_PROPERTY:furrow_flags,INTERFACE_COMPILE_DEFINITIONS>)
  target_compile_options(${target} PRIVATE --compress-mode=size
    "SHELL:-Xcompiler -Wall,-Wno-unknown-pragmas,-Wno-unused-function,-ffp-contract=off"
    $<$<NOT:$<CONFIG:Release>>:-lineinfo>)
  if(FURROW_WERROR)
    target_compile_options(${target} PRIVATE "SHELL:-Xcompiler -Werror" "SHELL:-Werror all-warnings")
  endif()
endfunction()
