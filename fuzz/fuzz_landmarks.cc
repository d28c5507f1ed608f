// Landmark files: squares for every name and only those, or an Error.
#include <cstdint>
#include <string_view>

#include "data/landmarks.h"
#include "fuzz/small_limits.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    const auto faces = furrow::data::parse_landmarks({reinterpret_cast<const char*>(data), size});
    furrow::require(!faces.squares.empty() && faces.index.size() == faces.squares.size(), "one name each");
    for (const auto& [name, i] : faces.index)
      furrow::require(!name.empty() && i >= 1 && static_cast<size_t>(i) <= faces.squares.size(), "a place each");
  } catch (const furrow::Error& error) {
    furrow::fuzz::check(error);
    furrow::require(error.code() == furrow::ErrorCode::malformed, "nothing but malformed");
  }
  return 0;
}
