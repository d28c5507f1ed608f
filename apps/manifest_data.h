// weights/manifest.json and data/manifest.json as text, compiled in by apps/CMakeLists.txt.
#pragma once

#include <string_view>

namespace furrow::apps {

extern const std::string_view kManifest, kDataManifest;

}  // namespace furrow::apps
