# Sources of the pipeline: model file -> network -> photo in, results out.
set(FURROW_SEGMENT_PIPELINE compute.cc mixed_precision.cc model.cc model_info.cc segmenter.cc tuning.cc)
set(FURROW_SEGMENT_PIPELINE_LOOPS audit.cc calibrate.cc network_picture.cc preprocess.cc quality.cc tile.cc
    face_parser.cc face_points.cc face_regions.cc map_back.cc region.cc)
