# cmake --install: the program, the libraries with their public headers, the package config, licences and notices.
include(CMakePackageConfigHelpers)

# One name for users: furrow::furrow is the pipeline and everything below it.
add_library(furrow_all INTERFACE)
target_link_libraries(furrow_all INTERFACE furrow_segment furrow_nn furrow_io furrow_kernels)
set_target_properties(furrow_all PROPERTIES EXPORT_NAME furrow)

get_property(libraries GLOBAL PROPERTY FURROW_LIBRARIES)
install(TARGETS furrow_all ${libraries} EXPORT furrow-targets ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(EXPORT furrow-targets NAMESPACE furrow:: DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/furrow)

# The public headers, and what they include: tests/public_headers_test.py checks that this list is closed and short.
set(FURROW_PUBLIC_HEADERS
  kernels/error.h kernels/quantised.h kernels/tensor.h kernels/threads.h nn/quantisation.h
  io/atomic_file.h io/image.h io/limits.h io/picture.h io/png_write.h io/texture.h
  segment/crop.h segment/face_points.h segment/face_regions.h segment/faces.h segment/measure.h segment/model.h
  segment/overlay.h segment/quality.h segment/segmenter.h)
foreach(header ${FURROW_PUBLIC_HEADERS})
  get_filename_component(folder ${header} DIRECTORY)
  install(FILES ${header} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/furrow/${folder})
endforeach()

configure_package_config_file(cmake/furrow-config.cmake.in ${PROJECT_BINARY_DIR}/furrow-config.cmake
  INSTALL_DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/furrow)
write_basic_package_version_file(${PROJECT_BINARY_DIR}/furrow-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/furrow-config.cmake ${PROJECT_BINARY_DIR}/furrow-config-version.cmake
        DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/furrow)

set(notices ${PROJECT_BINARY_DIR}/THIRD_PARTY_NOTICES)
set(furrow_cuda_notice)
if(FURROW_HAVE_CUDA)
  set(furrow_cuda_notice -DCUDA=${CMAKE_CUDA_COMPILER_VERSION} -DCUDA_ROOT=${CUDAToolkit_BIN_DIR}/..)
endif()
add_custom_command(OUTPUT ${notices}
  COMMAND ${CMAKE_COMMAND} -DOUT=${notices} ${furrow_cuda_notice} -P ${PROJECT_SOURCE_DIR}/cmake/notices.cmake
  DEPENDS ${PROJECT_SOURCE_DIR}/cmake/notices.cmake VERBATIM)
add_custom_target(furrow_notices ALL DEPENDS ${notices})
install(FILES LICENSE CHANGELOG.md ${notices} weights/README.md weights/furrow-mini-2.md weights/furrow-mini.md
        weights/furrow-public-domain.md
        DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/furrow)
if(FURROW_BUILD_APPS)
  install(TARGETS furrow RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endif()
