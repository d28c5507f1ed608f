set(FURROW_DATA_DATASETS
  align.cc
  align_pad.cc
  attributes.cc
  attributes_csv.cc
  crop.cc
  dataset.cc
  landmarks.cc
  loader.cc
  pairs.cc
  pairs_check.cc
  pairs_header.cc
  split.cc
  split_file.cc
  split_official.cc
  strict_json.cc)
set(FURROW_DATA_DATASETS_LOOPS align_blur.cc loader_fill.cc masks.cc near_duplicates.cc)
