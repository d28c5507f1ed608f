set(FURROW_DATA_DATASETS
  masks.cc
  pairs.cc
  pairs_check.cc
  pairs_header.cc
  split.cc
  split_file.cc
  split_official.cc)
