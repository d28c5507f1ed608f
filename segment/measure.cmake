set(FURROW_SEGMENT_MEASURE_LOOPS
  measure.cc measure_components.cc measure_path.cc measure_trace.cc skeleton.cc
  overlay.cc preview.cc)
