// The face crop of FFHQ: from 68 landmarks and a photo to the upright square that the networks know.
#pragma once

#include <cstdint>
#include <span>

#include "io/image.h"
#include "io/limits.h"

namespace furrow::data {

inline constexpr size_t kLandmarks = 68;  // iBUG 300-W's, as dlib numbers them: eyes 36..47, outer lips 48..59

// The square about a face, turned as the face is, in pixels of the photo.
struct FaceSquare {
  double centre[2] = {};  // x, y
  double half[2] = {};    // from the centre to the middle of the right side; (-half[1], half[0]) to that of the lower
  double side() const;    // 2 |half|
};

// FFHQ's 1.8; FFHQ-Aging's 2.2, which shows more of the head.
inline constexpr double kFfhqMouth = 1.8, kFfhqAgingMouth = 2.2;

// With l, r the mean of six points of an eye (36..41, 42..47), m the middle of points 48 and 54, e = (l + r) / 2,
// E = r - l, M = m - e: half = (E - rot90(M)) / |E - rot90(M)| * max(2 |E|, mouth |M|), centre = e + .1 M, where
// rot90(x, y) = (-y, x). `points`: x, y of kLandmarks points. Numbers that make no square come out as NaN or as no
// length; align_face() refuses them. Sources: Karras, Laine, Aila, "A Style-Based Generator Architecture for
// Generative Adversarial Networks", CVPR 2019, appendix A, and its download_ffhq.py; Or-El et al., "Lifespan Age
// Transformation Synthesis", ECCV 2020 (FFHQ-Aging).
FaceSquare face_square(std::span<const double> points, double mouth = kFfhqMouth);

struct AlignOptions {
  int64_t size = 1024;       // side of the result
  int64_t transform = 4096;  // side at which the square is sampled, >= size: LANCZOS brings it to `size`
  bool padding = true;       // what lies outside the photo: mirrored, blurred and faded to the median; else black
  io::Limits limits;         // picture_pixels: of the padded photo
};

// The square's pixels, size x size RGB, with the numbers of NumPy, SciPy and Pillow (docs/prepare.md):
//   shrink  by n = floor(side / size / 2) where n > 1, LANCZOS, x before y as Pillow before 13 does it
//   cut     the square's upright box and a border of max(rint(.1 side), 3) pixels, as far as the photo goes
//   pad     where that box comes within 4 pixels of what was cut, or leaves it: pad_softly() by what the border lacks,
//           by rint(.3 side) at least, with a sigma of .02 side
//   pull    io::pull_quad() of the square, moved by half a pixel, to transform x transform; LANCZOS to size x size
// Errors: malformed where the landmarks make no square or it lies outside the photo; limit (picture_pixels).
// Preconditions (ErrorCode::internal): three channels, 1 <= size <= transform.
io::Image align_face(const io::Image& photo, FaceSquare square, const AlignOptions& options = {});

struct Pads {
  int64_t left = 0, top = 0, right = 0, bottom = 0;  // pixels, >= 1
};

// The photo with a frame that a network does not take for a picture: mirrored about the outermost pixels
// (np.pad, "reflect"); then with t = 1 - min(x / left, (w - 1 - x) / right), the same for y, and the larger of both,
// img += (G - img) clip(3 t + 1, 0, 1), G by scipy.ndimage.gaussian_filter of `sigma` (its 'reflect', truncated at 4
// sigma); img += (median(img) - img) clip(t, 0, 1), of each channel; rounded half to even. float32 as NumPy stores it,
// sums of the filter in double in SciPy's order. Memory beside the photo: 11 bytes per padded pixel, 4 bytes per pixel
// of 8 sigma more rows.
io::Image pad_softly(const io::Image& photo, const Pads& pads, double sigma);

}  // namespace furrow::data
