# The face finder. Its cascade is compacted from Debian's opencv-data by a small host tool while Furrow is built.
add_executable(compact_cascade ${PROJECT_SOURCE_DIR}/cmake/compact_cascade.cc)
target_link_libraries(compact_cascade PRIVATE furrow_flags)
set(FURROW_CASCADE_TABLE ${PROJECT_BINARY_DIR}/generated/segment/cascade_table.cc)
set(FURROW_CASCADE_NOTICE ${PROJECT_BINARY_DIR}/generated/segment/cascade_notice.txt)  # for THIRD_PARTY_NOTICES
file(MAKE_DIRECTORY ${PROJECT_BINARY_DIR}/generated/segment)
add_custom_command(
  OUTPUT ${FURROW_CASCADE_TABLE} ${FURROW_CASCADE_NOTICE}
  COMMAND compact_cascade ${FURROW_CASCADE_XML} ${FURROW_CASCADE_TABLE} ${FURROW_CASCADE_NOTICE}
  DEPENDS compact_cascade ${FURROW_CASCADE_XML}
  COMMENT "Compacting the face cascade" VERBATIM)

set(FURROW_SEGMENT_FACES ${FURROW_CASCADE_TABLE})
set(FURROW_SEGMENT_FACES_LOOPS
  cascade_group.cc cascade_loops.cc cascade_pyramid.cc cascade_scan.cc cascade_table.cc crop.cc faces.cc gray.cc)
