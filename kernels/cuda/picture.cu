// The table of the picture family.
#include "kernels/cuda/picture.h"

#include "kernels/cuda/picture_launch.h"

namespace furrow::SIMT_NS {

const gpu::PictureKernels picture_kernels{.resize = picture_resize,
                                          .normalise = picture_normalise,
                                          .threshold = picture_threshold,
                                          .probability = picture_probability,
                                          .argmax = picture_argmax,
                                          .upsample_argmax = picture_upsample_argmax,
                                          .overlay = picture_overlay};

}  // namespace furrow::SIMT_NS
