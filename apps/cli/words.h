// What the words of options mean, where several verbs take the same.
#pragma once

#include <algorithm>
#include <cstdint>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "kernels/error.h"
#include "segment/face_classes.h"

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

// Throws ErrorCode::usage, which names option and value, outside [least, most].
inline void check_range(const char* option, int64_t value, int64_t least, int64_t most) {
  if (value < least || value > most)
    throw Error(ErrorCode::usage, std::string(option) + " " + std::to_string(value) + " is outside " +
                                      std::to_string(least) + ".." + std::to_string(most));
}

// The numbers of --keep, or of another option, separated by commas; of --keep also names of segment/face_classes.h. Throws
// ErrorCode::usage for anything else.
inline std::vector<int> parse_labels(const std::string& list, const std::string& option = "--keep") {
  const bool named = option == "--keep";
  std::vector<int> labels;
  std::stringstream words(list);
  for (std::string word; std::getline(words, word, ',');) {
    if (const auto* name = std::ranges::find(kFaceClasses, word); named && name != kFaceClasses.end()) {
      labels.push_back(static_cast<int>(name - kFaceClasses.begin()));
      continue;
    }
    if (word.empty() || word.size() > 3 || word.find_first_not_of("0123456789") != std::string::npos ||
        std::stoi(word) > 255)
      throw Error(ErrorCode::usage, option + " " + printable(list) + ": not a list of labels")
          .hint("write numbers from 0 to 255, e.g. " + option + " 1,10" + (named ? " or --keep skin,nose" : ""));
    labels.push_back(std::stoi(word));
  }
  return labels;
}

}  // namespace furrow::apps
