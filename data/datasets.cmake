set(FURROW_DATA_DATASETS
  masks.cc
  pairs.cc
  pairs_check.cc
  pairs_header.cc)
