// Facial landmarks from JSON files.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>

namespace furrow::data {

inline constexpr uint64_t kLandmarkBytes = uint64_t{1} << 30;  // FFHQ's file has 267,793,842
inline constexpr double kLandmarkRange = 1e6;                  // pixels, either sign

// Takes a face: the stem of its photo's file name, and x, y of 68 points in pixels, which it must copy.
using TakeFace = std::function<void(const std::string& stem, std::span<const double> points)>;

// Meets the faces of a file in order and keeps none of them. Two layouts, told apart by what the first key has:
//   plain   {"NAME": [[x, y] x 68], ...}   NAME: a file name; folders and the suffix, from the last dot on, are left off
//   FFHQ    {"0": {"in_the_wild": {"file_path": "a/b/NAME.png", "face_landmarks": [[x, y] x 68], ...}, ...}, ...}
//           (ffhq-dataset-v2.json); everything else in it is passed over
// Returns whether the layout is FFHQ's. Errors: malformed with the entry, where a part is missing, stands twice or is
// of another kind, a coordinate is over kLandmarkRange, values lie over 8 deep, or there is no face; with the byte, where
// it is not JSON; limit for more than kLandmarkBytes. Whether names repeat is for `take` to say.
bool parse_landmarks(std::string_view text, const TakeFace& take);
// The same for a file, which is mapped, not copied. Errors name it; adds ErrorCode::io.
bool read_landmarks(const std::string& path, const TakeFace& take);

}  // namespace furrow::data
