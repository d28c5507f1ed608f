// Settings, YAML (first byte even) or JSON (odd): options that can be written and read back to the same, or one Error.
#include <cstdint>
#include <string_view>

#include "fuzz/small_limits.h"
#include "train/options.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  const char* name = data[0] % 2 == 0 ? "c.yaml" : "c.json";
  try {
    const auto loaded = furrow::train::parse_train_options(text, name, {}, furrow::fuzz::small_limits());
    const std::string yaml = furrow::train::to_yaml(loaded.options);
    const auto back = furrow::train::parse_train_options(yaml, "c.yaml");
    furrow::require(furrow::train::to_yaml(back.options) == yaml, "the resolved configuration reads back to itself");
  } catch (const furrow::Error& error) {
    furrow::fuzz::check(error);
    furrow::require(error.code() == furrow::ErrorCode::configuration && error.detail_lines().size() <= 20,
                    "one report");
  }
  return 0;
}
