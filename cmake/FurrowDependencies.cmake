# Every third-party part, found as an installed package; nothing is downloaded at configure time.
# Package names per distribution: scripts/setup.sh.
find_package(Threads REQUIRED)

find_library(ZLIB_STATIC libz.a REQUIRED)
find_path(ZLIB_INCLUDE zlib.h REQUIRED)
add_library(furrow_zlib STATIC IMPORTED)
set_target_properties(furrow_zlib PROPERTIES
  IMPORTED_LOCATION ${ZLIB_STATIC} INTERFACE_INCLUDE_DIRECTORIES ${ZLIB_INCLUDE})

# Static, so that the program keeps needing the C and C++ libraries alone.
find_library(YAML_CPP_STATIC libyaml-cpp.a REQUIRED)
find_path(YAML_CPP_INCLUDE yaml-cpp/eventhandler.h REQUIRED)
add_library(furrow_yaml STATIC IMPORTED)
set_target_properties(furrow_yaml PROPERTIES
  IMPORTED_LOCATION ${YAML_CPP_STATIC} INTERFACE_INCLUDE_DIRECTORIES ${YAML_CPP_INCLUDE})

find_package(nlohmann_json REQUIRED)
if(FURROW_BUILD_APPS)
  find_package(CLI11 REQUIRED)
endif()
if(FURROW_BUILD_TESTS)
  find_package(GTest REQUIRED)
endif()
if(FURROW_BUILD_TESTS OR FURROW_BUILD_FUZZ)   # a second opinion on PNG pixels
  find_path(STB_INCLUDE stb/stb_image.h REQUIRED)
  add_library(furrow_stb INTERFACE)
  target_include_directories(furrow_stb SYSTEM INTERFACE ${STB_INCLUDE})
endif()
if(FURROW_BUILD_BENCH)
  find_package(benchmark REQUIRED)
endif()

# The frontal-face cascade of Debian's opencv-data, compacted into the library at build time.
find_file(FURROW_CASCADE_XML haarcascade_frontalface_default.xml
          PATHS /usr/share/opencv4/haarcascades /usr/share/opencv/haarcascades REQUIRED)
