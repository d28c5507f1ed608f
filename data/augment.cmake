# Augmentation, the texture map, and the preview of both.
set(FURROW_DATA_AUGMENT
  augment.cc augment_clahe.cc augment_colour.cc augment_recipes.cc augment_spaces.cc augment_warp.cc)
