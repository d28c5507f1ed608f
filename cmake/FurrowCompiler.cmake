# Flags that every target of Furrow shares: warnings, hardening, sanitizers, a compiler cache where one is installed.
add_library(furrow_flags INTERFACE)
target_include_directories(furrow_flags INTERFACE
  $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}> $<BUILD_INTERFACE:${PROJECT_BINARY_DIR}/generated>)
target_compile_options(furrow_flags INTERFACE -Wall -Wextra -Wshadow -Wnon-virtual-dtor -Wno-missing-field-initializers)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
  # False alarms on std::string's operator+ (GCC bug 105651).
  target_compile_options(furrow_flags INTERFACE -Wno-restrict)
endif()
if(FURROW_WERROR)
  target_compile_options(furrow_flags INTERFACE -Werror)
endif()
# fp-contract off: the same source gives the same bits in every build; kernels that want FMA say so with intrinsics.
target_compile_options(furrow_flags INTERFACE -ffp-contract=off -fno-math-errno)

if(FURROW_SANITIZE)
  target_compile_options(furrow_flags INTERFACE
    -fsanitize=${FURROW_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all -g1)
  target_link_options(furrow_flags INTERFACE -fsanitize=${FURROW_SANITIZE})
else()
  target_compile_definitions(furrow_flags INTERFACE $<$<CONFIG:Release>:_FORTIFY_SOURCE=2>)
  target_compile_options(furrow_flags INTERFACE -fstack-protector-strong)
endif()
target_compile_definitions(furrow_flags INTERFACE _GLIBCXX_ASSERTIONS)
target_link_options(furrow_flags INTERFACE -Wl,-z,relro,-z,now)
# A section for every function, so that the linker can leave out what the program never calls.
target_compile_options(furrow_flags INTERFACE
  $<$<CONFIG:Release>:-ffunction-sections> $<$<CONFIG:Release>:-fdata-sections>)

find_program(CCACHE_PROGRAM ccache)
if(CCACHE_PROGRAM)
  set(CMAKE_C_COMPILER_LAUNCHER ${CCACHE_PROGRAM})
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CCACHE_PROGRAM})
  if(FURROW_PCH)   # what ccache's manual asks for, section "Precompiled headers"
    set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env
      CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime ${CCACHE_PROGRAM})
    if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
      set(furrow_precompiled_options -fpch-preprocess)
    endif()
  endif()
endif()

# furrow_precompile(TARGET [HEADERS...]): with FURROW_PCH, the headers that nearly every file includes are read once per
# target. furrow_precompile_test: the same for a target of the tests, where FURROW_PCH may be TESTS; then every file of
# a library still has to include what it uses.
set(furrow_standard_headers <algorithm> <array> <cmath> <cstddef> <cstdint> <cstring> <functional> <map> <memory>
    <optional> <span> <string> <string_view> <utility> <vector>)
function(furrow_precompile target)
  if(FURROW_PCH AND NOT FURROW_PCH STREQUAL "TESTS")
    target_precompile_headers(${target} PRIVATE ${furrow_standard_headers} ${ARGN})
    target_compile_options(${target} PRIVATE ${furrow_precompiled_options})
  endif()
endfunction()
function(furrow_precompile_test target)
  if(FURROW_PCH)
    target_precompile_headers(${target} PRIVATE ${furrow_standard_headers} ${ARGN})
    target_compile_options(${target} PRIVATE ${furrow_precompiled_options})
  endif()
endfunction()

# Flags of glue, which runs once per file or photo and never loops over pixels, weights or bytes: a release build
# optimises it for size, which makes a third to two thirds of the code of -O3, in less time.
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
  set(furrow_false_alarms -Wno-stringop-overflow -Wno-array-bounds)   # below -O2, as of -Wrestrict above
endif()
set(furrow_glue $<$<CONFIG:Release>:-Os> ${furrow_false_alarms})

# furrow_loops(FILES...): sources of this folder that do loop over those, in a target of glue.
function(furrow_loops)
  set_property(SOURCE ${ARGN} APPEND PROPERTY COMPILE_OPTIONS $<$<CONFIG:Release>:-O3>)
  if(CMAKE_BUILD_TYPE STREQUAL "Release")   # headers precompiled at -Os serve -Os alone
    set_property(SOURCE ${ARGN} PROPERTY SKIP_PRECOMPILE_HEADERS ON)
  endif()
endfunction()

# furrow_library(NAME SOURCES ... LOOPS ... LINKS ...): one folder's library; SOURCES are glue, LOOPS are not.
function(furrow_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;LOOPS;LINKS" ${ARGN})
  add_library(${name} STATIC ${ARG_SOURCES} ${ARG_LOOPS})
  target_compile_options(${name} PRIVATE ${furrow_glue})
  if(ARG_LOOPS)
    furrow_loops(${ARG_LOOPS})
  endif()
  target_link_libraries(${name} PUBLIC ${ARG_LINKS} PRIVATE $<BUILD_INTERFACE:furrow_flags>)
  target_include_directories(${name} PUBLIC
    $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}> $<BUILD_INTERFACE:${PROJECT_BINARY_DIR}/generated>
    $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}/furrow>)
  target_compile_features(${name} PUBLIC cxx_std_20)
  furrow_precompile(${name})
  set_property(GLOBAL APPEND PROPERTY FURROW_LIBRARIES ${name})
endfunction()
