// BORDER_REFLECT_101: pictures go on mirrored about their outermost pixels.
#pragma once

#include <cstdint>

namespace furrow::io {

// Any index -> an index within 0 .. size - 1: -1 becomes 1, size becomes size - 2. size >= 1.
inline int64_t mirrored(int64_t at, int64_t size) {
  if (size == 1) return 0;
  while (at < 0 || at >= size) at = at < 0 ? -at : 2 * (size - 1) - at;
  return at;
}

}  // namespace furrow::io
