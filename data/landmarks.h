// Facial landmarks from JSON files.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "data/align.h"

namespace furrow::data {

inline constexpr uint64_t kLandmarkBytes = uint64_t{1} << 30;  // FFHQ's file has 267,793,842
inline constexpr double kLandmarkRange = 1e6;                  // pixels, either sign

// The squares about the faces of a file, which is all that is kept of their landmarks.
struct FaceSquares {
  std::map<std::string, int> index;  // in `squares`, counted from 1, by the stem of the photo's file name
  std::vector<FaceSquare> squares;
  bool ffhq = false;  // the layout
};

// Takes a JSON text part by part. Two layouts, told apart by what the first key has:
//   plain   {"NAME": [[x, y] x 68], ...}   NAME: a file name; folders and suffix, from the last dot on, are left off
//   FFHQ    {"0": {"in_the_wild": {"file_path": "a/b/NAME.png", "face_landmarks": [[x, y] x 68], ...}, ...}, ...}
//           (ffhq-dataset-v2.json); everything else in it is passed over
// `mouth`: of face_square(). Errors: malformed with the entry, where a part is missing, stands twice or is of another
// kind, a coordinate is over kLandmarkRange, values lie over 8 deep, two faces have one name, or there is none; with
// the byte, where it is not JSON; limit for more than kLandmarkBytes.
FaceSquares parse_landmarks(std::string_view text, double mouth = kFfhqMouth);
// The same for a file, which is mapped, not copied. Errors name it; adds ErrorCode::io.
FaceSquares read_landmarks(const std::string& path, double mouth = kFfhqMouth);

}  // namespace furrow::data
