#include "segment/faces.h"

#include <algorithm>
#include <cmath>

#include "kernels/error.h"
#include "segment/cascade.h"
#include "segment/cascade_group.h"
#include "segment/cascade_pyramid.h"
#include "segment/cascade_scan.h"
#include "segment/gray.h"

namespace furrow {
namespace {

// Rows of windows one task looks at. Each task integrates its rows anew, window - 1 more than it has rows of windows:
// more rows waste less of that, fewer keep both integral images in the second-level cache and share out better.
constexpr int kBandRows = 64;

struct Axes {
  LinearAxis x, y;
};

// One task: windows of `level` that start at rows [top, top + kBandRows).
struct Band {
  size_t level;
  int top;
  std::vector<Candidate> found;
};

struct Worker {
  BandScratch band_scratch;
  ScanScratch scan_scratch;
  IntegralBand integral;
  std::vector<CascadeHit> hits;
};

// Entries per row of the integral images: an odd multiple of 16, so that the rows under a window's corners do not fall
// into the same cache sets.
int stride_for(int width) { return ((width + 1 + 15) / 16 | 1) * 16; }

// Everything that the bands share; read-only while they run.
class Search {
 public:
  Search(const GrayPicture& picture, const FaceFinderOptions& options)
      : picture_(picture),
        window_(frontal_face_cascade().window),
        levels_(pyramid_levels(picture.width, picture.height, window_, options.scale, options.min_side)),
        stride_(levels_.empty() ? 0 : stride_for(levels_[0].width)),
        tables_{{frontal_face_cascade(), stride_, 1}, {frontal_face_cascade(), stride_, 2}} {
    for (const PyramidLevel& level : levels_)
      axes_.push_back({linear_axis(picture.width, level.width), linear_axis(picture.height, level.height)});
  }

  std::vector<Band> bands() const {
    std::vector<Band> bands;
    for (size_t l = 0; l < levels_.size(); ++l)
      for (int top = 0; top < levels_[l].end_y; top += kBandRows) bands.push_back({l, top, {}});
    return bands;
  }

  void run(Band& band, Worker& worker) const {
    const PyramidLevel& level = levels_[band.level];
    const int end = std::min(band.top + kBandRows, level.end_y);
    worker.integral.stride = stride_;
    worker.integral.step = level.step;
    integrate_band(picture_, level, axes_[band.level].x, axes_[band.level].y, band.top, end - 1 - band.top + window_,
                   worker.band_scratch, worker.integral);
    worker.hits.clear();
    scan_band(tables_[level.step - 1], worker.integral, end - band.top, level.columns, worker.scan_scratch,
              worker.hits);
    for (const CascadeHit& hit : worker.hits) band.found.push_back(candidate(level, hit, band.top));
  }

 private:
  static Candidate candidate(const PyramidLevel& level, const CascadeHit& hit, int top) {
    const auto place = [&](int at) { return static_cast<int>(std::lrintf(static_cast<float>(at) * level.scale)); };
    return {place(hit.column * level.step), place(top + hit.row * level.step), level.side, level.side, hit.score};
  }

  const GrayPicture& picture_;
  const int window_;
  const std::vector<PyramidLevel> levels_;
  const int stride_;
  const CascadeTable tables_[2];  // for steps 1 and 2
  std::vector<Axes> axes_;
};

std::vector<Candidate> find_candidates(const GrayPicture& picture, const FaceFinderOptions& options, ThreadPool* pool) {
  const Search search(picture, options);
  std::vector<Band> bands = search.bands();
  // Bands are dealt out in turn, not in runs: neighbours in the list cost alike, the ends do not.
  const size_t workers = pool == nullptr ? 1 : static_cast<size_t>(pool->threads());
  parallel_for(pool, static_cast<int64_t>(workers), [&](int64_t first, int) {
    Worker worker;
    for (size_t b = static_cast<size_t>(first); b < bands.size(); b += workers) search.run(bands[b], worker);
  });
  std::vector<Candidate> all;
  for (const Band& band : bands) all.insert(all.end(), band.found.begin(), band.found.end());
  return all;
}

// The group's box in pixels of the photo, cut at the photo's border.
Face to_face(const CandidateGroup& group, int factor, const io::Image& photo) {
  const int64_t x0 = std::max<int64_t>(int64_t{group.x} * factor, 0),
                y0 = std::max<int64_t>(int64_t{group.y} * factor, 0);
  const int64_t x1 = std::min((int64_t{group.x} + group.w) * factor, photo.width);
  const int64_t y1 = std::min((int64_t{group.y} + group.h) * factor, photo.height);
  return {static_cast<double>(x0),      static_cast<double>(y0), static_cast<double>(x1 - x0),
          static_cast<double>(y1 - y0), group.members,           group.score};
}

}  // namespace

std::vector<Face> find_faces(const io::Image& photo, const FaceFinderOptions& options, ThreadPool* pool) {
  require(options.scale >= 1.01 && options.neighbours >= 0 && options.min_side >= 1, "find_faces: options in range");
  if (photo.width <= 0 || photo.height <= 0) return {};
  const GrayPicture picture = to_gray(photo, reduction_factor(photo.width, photo.height), pool);
  const std::vector<Candidate> candidates = find_candidates(picture, options, pool);
  std::vector<Face> faces;
  for (const CandidateGroup& group : group_candidates(candidates, options.neighbours))
    faces.push_back(to_face(group, picture.factor, photo));
  std::stable_sort(faces.begin(), faces.end(), [](const Face& a, const Face& b) {
    if (a.w * a.h != b.w * b.h) return a.w * a.h > b.w * b.h;
    return a.y != b.y ? a.y < b.y : a.x < b.x;
  });
  return faces;
}

}  // namespace furrow
