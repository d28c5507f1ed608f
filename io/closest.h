// Did you mean ...: the known word nearest to an unknown one.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace furrow::io {

// The candidate of the least edit distance (Levenshtein 1966: insert, remove, replace one byte each), the first of
// equals; "" where none is within a third of the word's length (at least 1), or the word is over 64 bytes.
std::string closest_word(std::string_view word, const std::vector<std::string>& candidates);

}  // namespace furrow::io
