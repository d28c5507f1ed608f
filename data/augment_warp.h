// Geometric changes of a picture at given parameters, with the numbers of OpenCV 4.10 as albumentations 1.4.22 calls
// it: the same bytes for 8-bit pictures of 1 and 3 channels (tests/data/make_augment_golden.py).
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "io/image.h"

namespace furrow::data {

// How a pixel is read between pixels: photos and textures linear, label maps nearest.
enum class Sampling { linear, nearest };
// What lies outside: black, or the picture mirrored about its outermost pixels (BORDER_REFLECT_101).
enum class Outside { black, reflect };

// Left and right exchanged (A.HorizontalFlip).
io::Image flip_horizontal(const io::Image& image);

// Where pixel (x, y) goes: (m0 x + m1 y + m2, m3 x + m4 y + m5), pixel centres at whole numbers.
using AffineMatrix = std::array<double, 6>;

struct AffineParameters {
  double scale_x = 1, scale_y = 1;
  double translate_x = 0, translate_y = 0;  // pixels, right and down; the library's are whole numbers
  double rotate = 0;                        // degrees; with y downwards positive turns counter-clockwise as seen
  double shear_x = 0, shear_y = 0;          // degrees
};

// C T Shear Rot Scale C^-1 about (w/2 - .5, h/2 - .5), Rot = [[c, s], [-s, c]], Shear = [[1, tan x], [tan y, 1]]:
// create_affine_transformation_matrix() of the library, whose shears carry the sign of this one (A.Affine negates its
// argument first). A.Rotate is the same with rotate alone.
AffineMatrix affine_matrix(int64_t width, int64_t height, const AffineParameters& p);

// cv2.warpAffine to a picture of the same size: the inverse matrix in double, coordinates in steps of 2^-10 (columns
// and rows rounded separately), linear in steps of 1/32 pixel with 15-bit weights. A matrix within numpy's allclose of
// the identity copies, as the library does. Preconditions (ErrorCode::internal): 1 or 3 channels, sides 1..32766
// (OpenCV keeps coordinates in 16 bits), finite numbers, an invertible matrix.
io::Image warp_affine(const io::Image& image, const AffineMatrix& matrix, Sampling sampling, Outside outside);

// cv2.remap with black outside: result (x, y) is read at (map_x, map_y)[y * width + x]; linear in steps of 1/32 pixel.
// Preconditions as above, and maps of width * height finite values.
io::Image remap(const io::Image& image, std::span<const float> map_x, std::span<const float> map_y, Sampling sampling);

// What A.ElasticTransform does to each of its two fields of N(0, 1) numbers: a 17 x 17 Gaussian of standard deviation
// `sigma` (BORDER_REFLECT_101), then times alpha, giving a displacement in pixels. `field`: width * height, row-major,
// changed in place. OpenCV's float32 sums in OpenCV's order, where every step is a fused multiply-add.
void smooth_displacement(std::span<float> field, int64_t width, int64_t height, double sigma, double alpha);

// A.ElasticTransform for given fields: remap() of (x + dx, y + dy), black outside.
io::Image displace(const io::Image& image, std::span<const float> dx, std::span<const float> dy, Sampling sampling);

// The part [x, x + width) x [y, y + height) resized to the picture's own size with OpenCV's rules
// (A.RandomResizedCrop with size = the picture's). Precondition: the part is not empty and lies within the picture.
struct CropBox {
  int64_t x = 0, y = 0, width = 0, height = 0;
};
io::Image crop_resized(const io::Image& image, const CropBox& box, Sampling sampling);

}  // namespace furrow::data
