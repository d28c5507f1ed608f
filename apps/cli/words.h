// What the words of options mean, where several verbs take the same.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "kernels/error.h"

namespace furrow::apps {

inline constexpr int kMostThreads = 1024;  // of --threads

// The value that `word` of `option` names. Throws ErrorCode::usage with all names.
template <class T>
T choose(const std::string& option, const std::string& word, const std::vector<std::pair<std::string, T>>& choices) {
  std::string known;
  for (const auto& [name, value] : choices) {
    if (name == word) return value;
    known += (known.empty() ? "" : ", ") + name;
  }
  throw Error(ErrorCode::usage, option + " " + printable(word) + ": unknown").hint("it takes " + known);
}

}  // namespace furrow::apps
