// A photo with what was found, what was missed and what was wrongly marked, for the report.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>

#include "apps/evaluate/predict.h"

namespace furrow::apps {

// Three hues of the palette of Okabe and Ito (Color Universal Design, 2008) that stay apart under the common
// colour-vision deficiencies and on skin.
inline constexpr std::array<uint8_t, 3> kHit = {0, 158, 115}, kFalseAlarm = {213, 94, 0}, kMiss = {240, 228, 66};

// `predicted`: bytes, set where not 0. Pixels outside the region stay as they are. A PNG no wider or higher than
// `side`, in base64.
std::string overlay_base64(const Compared& compared, std::span<const uint8_t> predicted, int64_t side);

}  // namespace furrow::apps
