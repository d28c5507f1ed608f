# Augmentation and its preview.
set(FURROW_DATA_AUGMENT augment.cc augment_recipes.cc)
set(FURROW_DATA_AUGMENT_LOOPS
  augment_clahe.cc augment_colour.cc augment_normal.cc augment_spaces.cc augment_warp.cc preview.cc)
