# Augmentation, the texture map, and the preview of both.
set(FURROW_DATA_AUGMENT
  augment_clahe.cc augment_colour.cc augment_spaces.cc augment_warp.cc)
