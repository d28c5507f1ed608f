// `furrow prepare align`: FFHQ's face crop of photos whose landmarks are known.
#pragma once

#include "apps/prepare/pictures.h"

namespace furrow::apps {

// data::align_face() of each photo that has landmarks (data/landmarks.h) under its name, as NAME.png. Of PictureOptions
// it reads folder, landmarks, recipe, size, transform and padding. Landmarks of FFHQ's layout are those of the pixels
// as they are stored, as the original takes them; with others a photo that EXIF turns is refused.
int prepare_align(const PictureOptions& options, const cli::Common& common);

}  // namespace furrow::apps
