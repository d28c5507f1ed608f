// Regions of a face's skin, and the wrinkles in each.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

#include "segment/face_points.h"
#include "segment/measure.h"

namespace furrow {

class KeptPixels;  // segment/region.h

// In the order of results. Left and right are the subject's.
inline constexpr std::array<std::string_view, 11> kFaceRegions = {
    "forehead",        "glabella",         "crows_feet_left", "crows_feet_right", "under_eye_left", "under_eye_right",
    "nasolabial_left", "nasolabial_right", "cheek_left",      "cheek_right",      "chin"};

// One region of one face. The outline is a polygon in pixels of the photo; a pixel belongs to the region where its
// centre lies in the polygon and its label is kept, and to the first of those that share it: glabella, under-eye,
// crow's feet, nasolabial, chin, cheek, forehead.
struct FaceRegionResult {
  std::string_view name;
  std::vector<Point> outline;
  int64_t pixels = 0;     // of the photo
  MaskMeasures measures;  // of the mask inside the region, in a box around it; what crosses a border counts twice
};

// Polygons of all regions, in the order of kFaceRegions. Layout (units of FaceFrame): docs/results.md.
std::vector<std::vector<Point>> region_outlines(const FacePoints& points);

// `mask`: of the part of the photo that is `visible` (gray, 0 | 255), inside the photo. Without `measures` only pixels
// and mask_pixels are counted.
std::vector<FaceRegionResult> measure_regions(const FacePoints& points, const io::Image& mask, const Crop& visible,
                                              const KeptPixels& kept, bool measures = true);

}  // namespace furrow
