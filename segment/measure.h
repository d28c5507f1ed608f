// The numbers of a wrinkle mask: share of the picture, number of wrinkles, centre-line length, mean width.
#pragma once

#include <cstdint>
#include <vector>

#include "io/image.h"

// How length and width are found
//
// A wrinkle is a piece of mask whose pixels touch by an edge or a corner. Its skeleton (skeleton.h) is cut into paths
// between junctions and line ends. Each path is smoothed with a moving least-squares parabola over 11 points (Savitzky
// & Golay, Analytical Chemistry 36, 1964), which takes the staircase out and leaves bends with a radius of 15 pixels
// alone; its length is that of the smoothed polyline. Counting pixel steps instead is wrong by up to 8 %, depending on
// the angle. Skeletons do not end where lines do. So near a free end the last half width + 3 pixels are replaced: a cut
// is laid across the stroke where the skeleton can be trusted, and the rest of the line is found from the mask pixels
// beyond the cut, as the mean of two estimates: farthest pixel less half width, and area less the area of a round cap.
//
// The centre line therefore runs from the centre of the first disc to the centre of the last disc of the round pen that
// drew the stroke. A stroke with square ends is measured up to half a width shorter at each of them.
// A branch counts from the centre line that it leaves. The length of a wrinkle is the sum over its paths, loops
// included.
//
// Error on drawn lines (disc pen, ends at any fraction of a pixel, 180 angles x 4 each; tests/measure prints the
// table):
//   length   width 1              widths 2..9              width 1 by Bresenham
//     30     rms 1.9 % max 6.1 %  rms 1.1 % max 3.6 %      max 0.4 %
//     60     rms 0.9 % max 2.8 %  rms 0.6 % max 1.8 %      max 0.5 %
//    120     rms 0.5 % max 1.2 %  rms 0.4 % max 1.0 %      max 0.6 %
//    400     rms 0.2 % max 0.7 %  rms 0.3 % max 0.7 %      max 0.6 %
// Circles of radius 15 .. 150 and width 1 .. 9: max 0.5 %. The large errors of short lines are what the raster itself
// leaves open, for it does not say where in its last pixel a line ends: lines of one angle and place that differ by
// twice 1.5 pixels (width 2: 0.96, 3: 0.93, 5: 0.72, 9: 0.49) can have the same pixels, so no measure can be nearer to
// both than that, 5 % of 30 pixels and 2.5 % of 60; this one is at most 1 pixel worse (30 pixels: 0.74). Corners are
// cut short: one of 90 degrees costs about 0.8 pixels + 0.2 widths, one of 45 degrees a third of that.
//
// The mean width w solves area = length w + (number of free ends) pi w^2 / 8: the stroke and its round caps.

namespace furrow {

struct MeasureOptions {
  // Pieces of fewer pixels are specks: not counted and without length (mask_pixels has them). Of 5,966 pieces of
  // wrinkle drawn by hand on 331 face photos of 500 to 900 pixels, 0.5 % are single dots of 1 to 3 pixels and 0.4 %
  // have 4 to 11.
  int64_t min_area = 12;
};

// One piece of mask. Lengths in pixels of the mask; the box is half open, in pixel edges: [x0, x1) x [y0, y1).
struct Wrinkle {
  double length = 0, mean_width = 0;
  int64_t area = 0;
  double x0 = 0, y0 = 0, x1 = 0, y1 = 0;
};

struct MaskMeasures {
  int64_t pixels = 0;             // of the picture
  int64_t mask_pixels = 0;        // set ones, specks included
  int64_t count = 0;              // pieces of at least min_area pixels; the fields below are about these
  double length = 0;              // sum over them
  double mean_width = 0;          // of them all; 0 where there are none
  std::vector<Wrinkle> wrinkles;  // in raster order of their first pixel; at most kMaxListedWrinkles, see there
};

// A mask may be at most this large (as io::Limits::picture_pixels and picture_side).
inline constexpr int64_t kMaxMaskPixels = int64_t{1} << 28;
inline constexpr int64_t kMaxMaskSide = 65'535;
// Masks with more pieces than this list the largest only; count, length and mean_width cover all of them.
inline constexpr int64_t kMaxListedWrinkles = 65'536;
// In masks with more pieces than this (noise) lines end where the skeleton ends.
inline constexpr int64_t kMaxCorrectedPieces = 1 << 20;

// Measures `mask` (gray, non-zero = wrinkle). Linear in the pixels of the box around the set ones, at most 6.6 bytes of
// memory for each of them, no recursion, the same answer on every machine and thread count.
// Throws ErrorCode::limit where the mask is larger than kMaxMaskPixels or kMaxMaskSide allow, ErrorCode::internal where
// it is not gray or its pixels do not match its size.
MaskMeasures measure(const io::Image& mask, const MeasureOptions& options = {});

// Share of the whole frame, as the reference demo page prints it: Python's round(100 * mask_pixels / frame_pixels, 2),
// i.e. the exact value of the quotient rounded to two decimals, ties to even. 0 for an empty frame.
double percent_as_seed(int64_t mask_pixels, int64_t frame_pixels);

}  // namespace furrow
