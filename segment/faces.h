// Finds upright frontal faces in a photo: Viola and Jones' cascade over a pyramid, equal to OpenCV 4.6's
// CascadeClassifier::detectMultiScale with haarcascade_frontalface_default.xml on the same gray picture.
#pragma once

#include <vector>

#include "io/image.h"
#include "kernels/threads.h"

namespace furrow {

// A face's box in pixels of the photo: left, top, width, height.
struct Face {
  double x = 0, y = 0, w = 0, h = 0;
  int neighbours = 0;  // windows of the cascade that agreed on this box
  float score = 0;     // the last stage's sum of votes in the best of them; more is surer, no probability
};

struct FaceFinderOptions {
  double scale = 1.1;  // each size of face looked for is this factor above the last; at least 1.01
  int neighbours = 5;  // a face needs more than this many agreeing windows
  int min_side = 30;   // smallest box, in pixels of the searched picture (the photo, unless it was reduced)
};

// Faces of an RGB or gray photo, largest area first (then from the top, then from the left). Boxes lie inside the
// photo. Empty photo, or one without a face: no boxes. Photos of more than kFinderPixels (segment/gray.h) are searched
// on a picture reduced by a whole factor f, and boxes are multiples of f. The result does not depend on the pool.
std::vector<Face> find_faces(const io::Image& photo, const FaceFinderOptions& options = {}, ThreadPool* pool = nullptr);

}  // namespace furrow
