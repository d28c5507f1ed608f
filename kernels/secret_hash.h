// The hash of tables whose keys come from a file. The standard library's is known to everyone, so a file can name
// 100,000 keys that all fall into one bucket and make reading it take the square of their number; this one depends on
// numbers drawn at random when the process starts, which no file can know. A table's order is therefore different in
// every run: nothing may depend on it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace furrow {

struct SecretHash {
  size_t operator()(std::string_view text) const;     // libstdc++ keeps it beside the key, unlike one that is noexcept
  size_t operator()(uint64_t number) const noexcept;  // cheaper than to keep
};

}  // namespace furrow
