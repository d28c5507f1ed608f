# Writes THIRD_PARTY_NOTICES: for each package whose code or data is in the program, its copyright file as the
# distribution installs it.   cmake -DOUT=FILE -P notices.cmake
set(text "Furrow contains code or data of the following packages. Their copyright and licence texts follow.\n")
foreach(entry
    "zlib1g-dev|zlib, linked statically"
    "libstb-dev|stb_image, compiled in"
    "libyaml-cpp-dev|yaml-cpp, linked statically"
    "nlohmann-json3-dev|JSON for Modern C++, compiled in (headers)"
    "libcli11-dev|CLI11, compiled in (headers)"
    "opencv-data|haarcascade_frontalface_default.xml, compiled in as a table")
  string(REPLACE "|" ";" parts "${entry}")
  list(GET parts 0 package)
  list(GET parts 1 what)
  set(file /usr/share/doc/${package}/copyright)
  if(NOT EXISTS ${file})
    message(FATAL_ERROR "notices: ${file} is missing; is the package ${package} installed? (scripts/setup.sh)")
  endif()
  file(READ ${file} licence)
  string(APPEND text "\n================ ${package}: ${what} ================\n${licence}")
endforeach()
file(WRITE ${OUT} "${text}")
