#include "apps/shard.h"

#include "kernels/error.h"
#include "parallel/launch.h"

namespace furrow::apps {
namespace {

constexpr size_t kMostDigits = 6;

// 0 where the word is no number of up to six digits.
int whole_number(const std::string& word) {
  if (word.empty() || word.size() > kMostDigits || word.find_first_not_of("0123456789") != std::string::npos) return 0;
  return std::stoi(word);
}

}  // namespace

Shard parse_shard(const std::string& text) {
  const size_t slash = text.find('/');
  Shard out{0, 0};
  if (slash != std::string::npos) out = {whole_number(text.substr(0, slash)), whole_number(text.substr(slash + 1))};
  if (out.index < 1 || out.index > out.count)
    throw Error(ErrorCode::usage, "--shard " + printable(text) + ": not a part of a whole")
        .hint("write --shard 1/4 for the first of four");
  return out;
}

Shard shard_of(const std::string& text, const cli::Common& common) {
  if (!text.empty()) return parse_shard(text);
  const auto launch = parallel::launched();
  if (!launch) return {};
  const Shard out{launch->rank + 1, launch->size};
  cli::note(common, "shard " + to_string(out) + ", as launched by " + launch->by + "; --shard 1/1 is the whole");
  return out;
}

std::string to_string(const Shard& shard) { return std::to_string(shard.index) + "/" + std::to_string(shard.count); }

}  // namespace furrow::apps
