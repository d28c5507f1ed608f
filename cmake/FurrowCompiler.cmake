# Flags that every target of Furrow shares: warnings, hardening, sanitizers, a compiler cache where one is installed.
add_library(furrow_flags INTERFACE)
target_include_directories(furrow_flags INTERFACE
  $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}> $<BUILD_INTERFACE:${PROJECT_BINARY_DIR}/generated>)
target_compile_options(furrow_flags INTERFACE -Wall -Wextra -Wshadow -Wnon-virtual-dtor -Wno-missing-field-initializers)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
  target_compile_options(furrow_flags INTERFACE -Wno-restrict)  # false alarms on std::string's operator+ (GCC bug 105651)
endif()
if(FURROW_WERROR)
  target_compile_options(furrow_flags INTERFACE -Werror)
endif()
# fp-contract off: the same source gives the same bits in every build; kernels that want FMA say so with intrinsics.
target_compile_options(furrow_flags INTERFACE -ffp-contract=off -fno-math-errno)

if(FURROW_SANITIZE)
  target_compile_options(furrow_flags INTERFACE -fsanitize=${FURROW_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all -g1)
  target_link_options(furrow_flags INTERFACE -fsanitize=${FURROW_SANITIZE})
else()
  target_compile_definitions(furrow_flags INTERFACE $<$<CONFIG:Release>:_FORTIFY_SOURCE=2>)
  target_compile_options(furrow_flags INTERFACE -fstack-protector-strong)
endif()
target_compile_definitions(furrow_flags INTERFACE _GLIBCXX_ASSERTIONS)
target_link_options(furrow_flags INTERFACE -Wl,-z,relro,-z,now)
# A section for every function, so that the linker can leave out what the program never calls.
target_compile_options(furrow_flags INTERFACE $<$<CONFIG:Release>:-ffunction-sections> $<$<CONFIG:Release>:-fdata-sections>)

find_program(CCACHE_PROGRAM ccache)
if(CCACHE_PROGRAM AND NOT FURROW_PCH)   # a cache cannot tell what a precompiled header holds
  set(CMAKE_C_COMPILER_LAUNCHER ${CCACHE_PROGRAM})
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CCACHE_PROGRAM})
endif()

# furrow_precompile(TARGET [HEADERS...]): with FURROW_PCH, the headers that nearly every file includes are read once per target.
function(furrow_precompile target)
  if(FURROW_PCH)
    target_precompile_headers(${target} PRIVATE
      <algorithm> <array> <cmath> <cstddef> <cstdint> <cstring> <functional> <map> <memory> <optional> <span> <string>
      <string_view> <utility> <vector> ${ARGN})
  endif()
endfunction()

# Flags of glue, which runs once per file or photo and never loops over pixels, weights or bytes: a release build optimises
# it for size, which makes a third of the code of -O3 in half the time.
set(furrow_glue $<$<CONFIG:Release>:-Os>)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
  list(APPEND furrow_glue -Wno-stringop-overflow -Wno-array-bounds)   # false alarms of the same kind as -Wrestrict above
endif()

# furrow_loops(FILES...): sources of this folder that do loop over those, in a target of glue.
function(furrow_loops)
  set_property(SOURCE ${ARGN} APPEND PROPERTY COMPILE_OPTIONS $<$<CONFIG:Release>:-O3>)
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
