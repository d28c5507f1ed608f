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

# Flags of loops that nobody waits for. -O3 copies a loop for every value that does not change in it; what makes loops
# over pixels fast are vectors, and -O2 has those with one flag more, in four fifths of the code.
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  set(furrow_loops $<$<CONFIG:Release>:-O2> $<$<CONFIG:Release>:-fvect-cost-model=dynamic>
                   $<$<CONFIG:Release>:-ftree-vectorize>)
endif()

# What a failed check of the standard library says takes more code than the check. A header that is forced on a source
# would keep a precompiled one from being used.
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND NOT FURROW_SANITIZE AND (NOT FURROW_PCH OR FURROW_PCH STREQUAL "TESTS"))
  set(furrow_terse
    $<$<AND:$<CONFIG:Release>,$<COMPILE_LANGUAGE:CXX>>:-include${CMAKE_CURRENT_LIST_DIR}/terse_assertions.h>)
endif()

# furrow_unite(TARGET): with FURROW_UNITY, the sources of a target are one compilation (files with flags of their own
# stay alone), which reads their headers and instantiates their templates once. Their anonymous namespaces are one then:
# names in them differ within a library.
function(furrow_unite target)
  if(FURROW_UNITY)
    set_target_properties(${target} PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 0)
    # The compiler takes a source that another includes for a header, where such members would be a mistake.
    target_compile_options(${target} PRIVATE $<$<CXX_COMPILER_ID:GNU>:-Wno-subobject-linkage>)
  endif()
endfunction()

# furrow_library(NAME [INTERNAL] [HOT] SOURCES ... LOOPS ... LINKS ... PRIVATE_LINKS ...): one folder's library. SOURCES
# are glue; LOOPS do loop over pixels, weights or bytes, and are objects of their own with their own flags: those of a
# HOT library, which a photo waits for, have the build's own optimisation. PRIVATE_LINKS are packages that users of the
# library need not know. INTERNAL libraries are not installed.
function(furrow_library name)
  cmake_parse_arguments(ARG "INTERNAL;HOT" "" "SOURCES;LOOPS;LINKS;PRIVATE_LINKS" ${ARGN})
  add_library(${name} STATIC ${ARG_SOURCES})
  set_target_properties(${name} PROPERTIES LINKER_LANGUAGE CXX)   # a library may be of objects alone
  target_compile_options(${name} PRIVATE ${furrow_glue} ${furrow_terse})
  set(parts ${name})
  if(ARG_LOOPS)
    add_library(${name}_loops OBJECT ${ARG_LOOPS})
    target_compile_options(${name}_loops PRIVATE "$<$<NOT:$<CONFIG:Release>>:${furrow_false_alarms}>" ${furrow_terse})
    if(NOT ARG_HOT)
      target_compile_options(${name}_loops PRIVATE ${furrow_loops} ${furrow_false_alarms})
    endif()
    target_sources(${name} PRIVATE $<TARGET_OBJECTS:${name}_loops>)
    list(APPEND parts ${name}_loops)
  endif()
  foreach(part ${parts})
    target_link_libraries(${part} PUBLIC ${ARG_LINKS} PRIVATE $<BUILD_INTERFACE:furrow_flags> ${ARG_PRIVATE_LINKS})
    target_include_directories(${part} PUBLIC
      $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}> $<BUILD_INTERFACE:${PROJECT_BINARY_DIR}/generated>
      $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}/furrow>)
    target_compile_features(${part} PUBLIC cxx_std_20)
    furrow_precompile(${part})
    furrow_unite(${part})
  endforeach()
  if(NOT ARG_INTERNAL)
    set_property(GLOBAL APPEND PROPERTY FURROW_LIBRARIES ${name})
  endif()
endfunction()

# tests/cuda/odr compares the definitions in object files. -Wodr is GCC's, and its object files carry no sanitizer.
include(CMakeDependentOption)
cmake_dependent_option(FURROW_COMPARE_OBJECTS "Compare the definitions of the kernels' two builds (tests/cuda/odr)" ON
  "FURROW_BUILD_TESTS;CMAKE_CXX_COMPILER_ID STREQUAL GNU;NOT FURROW_SANITIZE" OFF)
