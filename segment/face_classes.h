// The classes that the face parser tells apart, by their number: those of CelebAMask-HQ in the order of the published
// BiSeNet, which label maps and kept labels count in (weights/README.md). Other parsers count otherwise.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace furrow {

inline constexpr std::array<std::string_view, 19> kFaceClasses = {
    "background", "skin",  "l_brow", "r_brow", "l_eye", "r_eye",  "eye_g", "l_ear", "r_ear", "ear_r",
    "nose",       "mouth", "u_lip",  "l_lip",  "neck",  "neck_l", "cloth", "hair",  "hat"};

// The same in the order of CelebAMask-HQ's and FFHQ-Aging's label maps.
inline constexpr std::array<std::string_view, 19> kCelebAMaskClasses = {
    "background", "skin",  "nose",  "eye_g", "l_eye", "r_eye", "l_brow", "r_brow", "l_ear", "r_ear",
    "mouth",      "u_lip", "l_lip", "hair",  "hat",   "ear_r", "neck_l", "neck",   "cloth"};

// RGB that CelebAMask-HQ's label maps are drawn in, of kFaceClasses.
inline constexpr std::array<std::array<uint8_t, 3>, 19> kFaceColours = {{{0, 0, 0},
                                                                         {204, 0, 0},
                                                                         {0, 255, 255},
                                                                         {255, 204, 204},
                                                                         {51, 51, 255},
                                                                         {204, 0, 204},
                                                                         {204, 204, 0},
                                                                         {102, 51, 0},
                                                                         {255, 0, 0},
                                                                         {0, 204, 204},
                                                                         {76, 153, 0},
                                                                         {102, 204, 0},
                                                                         {255, 255, 0},
                                                                         {0, 0, 153},
                                                                         {255, 153, 51},
                                                                         {0, 51, 0},
                                                                         {0, 204, 0},
                                                                         {0, 0, 204},
                                                                         {255, 51, 153}}};

}  // namespace furrow
