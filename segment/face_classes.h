// The classes that the face parser tells apart, by their number: those of CelebAMask-HQ in the order of the published
// BiSeNet, which label maps and kept labels count in (weights/README.md). Other parsers count otherwise.
#pragma once

#include <array>
#include <string_view>

namespace furrow {

inline constexpr std::array<std::string_view, 19> kFaceClasses = {
    "background", "skin",  "l_brow", "r_brow", "l_eye", "r_eye",  "eye_g", "l_ear", "r_ear", "ear_r",
    "nose",       "mouth", "u_lip",  "l_lip",  "neck",  "neck_l", "cloth", "hair",  "hat"};

}  // namespace furrow
