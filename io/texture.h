// The texture map: fine relief of the skin as a grey picture, the weak label of the two-stage recipe.
#pragma once

#include <array>
#include <cstdint>

#include "io/image.h"

namespace furrow {
class ThreadPool;
}

namespace furrow::io {

// T = (1 - I / (1 + G)) * 255, G = I blurred by 21 x 21 taps of a Gaussian of `sigma`, mirrored at the border; dark
// lines become bright. Source: "Facial Wrinkle Segmentation for Cosmetic Dermatology" (arXiv 2408.10060) and the code
// that its authors point to.
enum class TextureRecipe {
  // I = gray of OpenCV (BT.601, 8 bit); q = I * 255 / (G + 1), at most 255, cut to 8 bits; the authors' code then
  // writes
  // 1 - q in 8 bits, which is (257 - q) mod 256: two more than the inverse, so the brightest two wrap to 0 and 1.
  authors,
  // The same with 255 - q, as the later notebook of the data set has it.
  authors_inverse,
  // I = .2126 R + .7152 G + .0722 B in float32, taken down to G where it is brighter, rounded: of the recipes tried on
  // the published weak labels the closest, mean difference .49 grey levels against .76 (third-party figures).
  closest,
};

struct TextureOptions {
  TextureRecipe recipe = TextureRecipe::closest;
  // Pixels. Five fits faces of 1024 x 1024; the authors advise another for other sizes. Within 0.5 .. 20; the number of
  // taps stays 21.
  double sigma = 5;
};

// The sigma for a photo whose longer side is `side` pixels: `at_1024` in proportion, within what texture_map() takes.
double texture_sigma(double at_1024, int64_t side);

// The map of an RGB photo; one channel, as large. `keep`: a picture of one channel as large as the photo; where it is 0
// the map becomes 0 (after the blur, so borders of the kept part see their real neighbours); nullptr keeps all.
// float32 sums in a fixed order: the same bytes for any number of threads, with and without AVX2 (FURROW_ISA chooses,
// as for device cpu). Preconditions (ErrorCode::internal): three channels, sides >= 1, sizes that agree, sigma in its
// range.
Image texture_map(const Image& photo, const TextureOptions& options = {}, const Image* keep = nullptr,
                  ThreadPool* pool = nullptr);

// What the published maps keep of a face parser's labels: skin and nose.
inline constexpr std::array<int, 2> kTextureLabels = {1, 10};

// A mask for `keep`: 255 where `labels` (a label map of a face parser, one channel) is one of the kept labels, given as
// 256 flags.
Image kept_labels(const Image& labels, const bool (&kept)[256]);

}  // namespace furrow::io
