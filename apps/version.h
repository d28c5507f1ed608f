// What this build is.
#pragma once

#include <string>

namespace furrow::apps {

// "furrow 0.1.0 (g++ 12.2.0)" and one line per device: usable or why not.
std::string version_text();

}  // namespace furrow::apps
