#include "apps/version.h"

#include "kernels/device.h"

namespace furrow::apps {

std::string version_text() {
#if defined(__clang__)
  const std::string compiler = "clang++ " __clang_version__;
#else
  const std::string compiler = "g++ " __VERSION__;
#endif
  std::string text = "furrow " FURROW_VERSION " (" + compiler + ")";
  for (const std::string& line : describe_devices()) text += "\n" + line;
  return text;
}

}  // namespace furrow::apps
