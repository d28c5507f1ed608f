# Writes THIRD_PARTY_NOTICES: for each package whose code or data is in the program, its copyright file as the
# distribution installs it.   cmake -DOUT=FILE [-DCUDA=VERSION -DCUDA_ROOT=FOLDER] -P notices.cmake
set(text "Furrow contains code or data of the following packages. Their copyright and licence texts follow.\n")
foreach(entry
    "zlib1g-dev|zlib, linked statically"
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
if(CUDA)   # device `cuda`: its runtime is linked statically
  string(APPEND text "\n================ CUDA Toolkit ${CUDA}: the CUDA runtime, linked statically ================\n"
    "Copyright NVIDIA Corporation. Distributed under the CUDA Toolkit End User License Agreement,\n"
    "whose Attachment A lists the runtime among what programs may carry: https://docs.nvidia.com/cuda/eula/\n")
  if(EXISTS ${CUDA_ROOT}/EULA.txt)
    file(READ ${CUDA_ROOT}/EULA.txt licence)
    string(APPEND text "\n${licence}")
  endif()
endif()
file(WRITE ${OUT} "${text}")
